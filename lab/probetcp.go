package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// dial connects from a place. The socket belongs to the namespace that it was made in, and can be
// used from any thread afterwards.
func (b *builder) dial(ctx context.Context, from *place, network, to string) (c net.Conn, err error) {
	err = b.s.do(b.m.spaceName(from), func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, to)
		return err
	})
	return c, err
}

// connect tries tcp, udp or http.
func (b *builder) connect(ctx context.Context, p probe) (answer, error) {
	network := p.by
	if p.by == "http" {
		network = "tcp"
	}
	c, err := b.dial(ctx, p.from, network, p.to.String())
	if err != nil {
		return judge(err)
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return answer{}, err
		}
	}
	if p.by == "http" {
		return get(c, p.to.String())
	}
	if p.by == "udp" {
		if _, err := c.Write([]byte("mini lab\n")); err != nil {
			return judge(err)
		}
	}
	if p.by == "tcp" && !p.sees.IsValid() {
		return answer{outcome: OK}, nil // the connection is the answer
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && !(errors.Is(err, io.EOF) && p.by == "tcp") {
		return judge(err)
	}
	return answer{outcome: OK, sees: seen(line)}, nil
}

// get asks for / in HTTP/1.0 by hand: net/http would be a third of mini's size, and part of each
// container's monitor.
func get(c net.Conn, host string) (answer, error) {
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host); err != nil {
		return judge(err)
	}
	text, err := io.ReadAll(io.LimitReader(c, 1<<16))
	if err != nil {
		return judge(err)
	}
	head, body, whole := strings.Cut(string(text), "\r\n\r\n")
	if !whole || !strings.HasPrefix(head, "HTTP/") {
		return answer{}, errors.New("what answers there does not speak HTTP")
	}
	return answer{outcome: OK, sees: seen(body)}, nil
}

// seen reads the address that a server of ours answers with.
func seen(text string) netip.Addr {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		return netip.Addr{} // somebody else's server
	}
	return a
}

// judge turns an error of a socket into an outcome. What is none is given back.
func judge(err error) (answer, error) {
	var late net.Error
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return answer{outcome: Refused}, nil
	case errors.Is(err, unix.ENETUNREACH):
		return answer{outcome: Unreachable, detail: "network is unreachable"}, nil
	case errors.Is(err, unix.EHOSTUNREACH):
		return answer{outcome: Unreachable, detail: "no route to host"}, nil
	case errors.As(err, &late) && late.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return answer{outcome: Timeout}, nil
	}
	return answer{}, err
}
