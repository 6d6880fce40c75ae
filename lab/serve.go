package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// serve lets the topology's ports answer until stop is called. Where somebody listens already,
// that one answers.
func (b *builder) serve(ctx context.Context) (stop func(), err error) {
	var group sync.WaitGroup
	var open []io.Closer
	stop = func() {
		for _, c := range open {
			c.Close()
		}
		group.Wait()
	}
	for _, l := range b.m.ports {
		server, answer, err := b.listen(l)
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			stop()
			return nil, fmt.Errorf("listening on port %d of %s: %w", l.port, l.in.name, err)
		}
		open = append(open, server)
		group.Go(answer)
	}
	return stop, nil
}

// listen opens a socket in a place. Answer serves it until it is closed.
func (b *builder) listen(l listen) (server io.Closer, answer func(), err error) {
	at := fmt.Sprintf(":%d", l.port)
	err = b.s.do(b.m.spaceName(l.in), func() error {
		if l.proto == "udp" {
			c, err := net.ListenPacket("udp", at)
			server, answer = c, func() { answerUDP(c) }
			return err
		}
		c, err := net.Listen("tcp", at)
		server, answer = c, func() { answerTCP(c, sayLine) }
		if l.proto == "http" {
			answer = func() { answerTCP(c, sayPage) }
		}
		return err
	})
	return server, answer, err
}

// client is the address that a peer seems to have.
func client(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return ap.Addr().Unmap().WithZone("").String()
}

// answerTCP tells each client its address. It ends when the listener is closed.
func answerTCP(l net.Listener, speak func(net.Conn, string) error) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			// A client that is gone, or says nothing for too long, needs no answer.
			if c.SetDeadline(time.Now().Add(patience)) == nil {
				_ = speak(c, client(c.RemoteAddr()))
			}
		}()
	}
}

func sayLine(c net.Conn, text string) error {
	_, err := fmt.Fprintln(c, text)
	return err
}

// sayPage answers a request in HTTP/1.0, whatever it asks for.
func sayPage(c net.Conn, text string) error {
	lines := bufio.NewScanner(io.LimitReader(c, 1<<16))
	for lines.Scan() && lines.Text() != "" {
		continue // the request's head
	}
	if err := lines.Err(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s\n", len(text)+1, text)
	return err
}

func answerUDP(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(client(from)+"\n"), from) // the client waits no longer than it wants to
	}
}
