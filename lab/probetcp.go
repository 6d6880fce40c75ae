package lab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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
	if p.by == "http" {
		return b.get(ctx, p)
	}
	c, err := b.dial(ctx, p.from, p.by, p.to.String())
	if err != nil {
		return judge(err)
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return answer{}, err
		}
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

func (b *builder) get(ctx context.Context, p probe) (answer, error) {
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
				return b.dial(ctx, p.from, network, to)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.to.String()+"/", nil)
	if err != nil {
		return answer{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return judge(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<12))
	if err != nil {
		return judge(err)
	}
	return answer{outcome: OK, sees: seen(string(body))}, nil
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
