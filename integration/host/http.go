package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Response is what [Host.HTTPGet] got.
type Response struct {
	Status int
	Body   string
	Local  string // address and port the request came from, before any translation
}

// HTTPGet fetches a page from the place. The URL names its server by address. Connecting and
// the whole exchange are given 5 s together. Any status is a success.
func (h *Host) HTTPGet(from Place, url string) (Response, error) {
	return h.HTTPGetWithin(from, url, 5*time.Second)
}

// HTTPGetWithin is [Host.HTTPGet] with a time of the caller's choice: a short
// one where no answer is expected.
func (h *Host) HTTPGetWithin(from Place, url string, d time.Duration) (Response, error) {
	var r Response
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	resp, err := Get(ctx, url, func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := h.Dial(ctx, from, network, addr)
		if err == nil {
			r.Local = conn.LocalAddr().String()
		}
		return conn, err
	})
	if err != nil {
		return r, fmt.Errorf("fetching from %v: %w", from, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return r, fmt.Errorf("reading %s: %w", url, err)
	}
	r.Status, r.Body = resp.StatusCode, string(body)
	return r, nil
}

// Get fetches a page over a connection that dial makes. It dials before it begins:
// a transport would dial in the background, and go on when the client has lost
// patience, with a socket that keeps a namespace alive.
func Get(ctx context.Context, url string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	addr := req.URL.Host
	if req.URL.Port() == "" {
		addr = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		conn.Close()
	}
	return resp, err
}

func (p Place) String() string {
	if p == Outside {
		return "the outside"
	}
	return "the host"
}

// Dial connects from the place. The address is numeric: a name would be
// looked up in the machine's namespaces.
func (h *Host) Dial(ctx context.Context, from Place, network, addr string) (net.Conn, error) {
	var conn net.Conn
	err := h.In(from, func() error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens at the place. The cleanup closes the listener.
func (h *Host) Listen(at Place, network, addr string) (net.Listener, error) {
	var l net.Listener
	err := h.In(at, func() error {
		var err error
		l, err = net.Listen(network, addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening in %v: %w", at, err)
	}
	// Closed twice when the test has closed it itself: no harm.
	h.later(func() { _ = l.Close() })
	return l, nil
}

// ServeAddr starts a web server at the place whose every page is the address
// its client seems to have. It serves until the test ends.
func (h *Host) ServeAddr(at Place, addr string) error {
	l, err := h.Listen(at, "tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			peer, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprint(w, peer)
		})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	h.later(func() {
		if err := errors.Join(srv.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			h.t.Errorf("web server in %v: %v", at, err)
		}
	})
	return nil
}
