package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"

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
		server, answer = c, func() { answerTCP(c) }
		if l.proto == "http" {
			answer = func() { answerHTTP(c) }
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
func answerTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		// A client that is gone needs no answer.
		_, _ = fmt.Fprintln(c, client(c.RemoteAddr()))
		c.Close()
	}
}

func answerHTTP(l net.Listener) {
	// It ends with an error, always: the listener was closed.
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil {
			fmt.Fprintln(w, a.Addr().Unmap().WithZone(""))
		}
	}))
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
