package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// FirstByteRequest asks how long it takes from the start of a command until a
// web server answers.
type FirstByteRequest struct {
	Command Command
	URL     string
	Within  time.Duration
}

// FirstByte runs the command and then asks the server until it answers. A
// client of a user's script would do so too: asking before the command has
// returned only takes processor time away from it.
func (a *Agent) FirstByte(q FirstByteRequest, r *Result) error {
	begin := time.Now()
	if err := a.Run(q.Command, r); err != nil || r.Code != 0 {
		return err
	}
	client := &http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	for {
		err := get(client, q.URL)
		r.Elapsed = time.Since(begin)
		if err == nil || r.Elapsed > q.Within {
			return err
		}
		// Refused at once, mostly. This leaves the server the second processor.
		time.Sleep(100 * time.Microsecond)
	}
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		return fmt.Errorf("reading the first byte of %s: %w", url, err)
	}
	return nil
}

// Address is a TCP address at a place.
type Address struct {
	Place string
	Addr  string
}

// Echo starts a server that answers every byte with a byte.
func (a *Agent) Echo(at Address, ok *bool) error {
	return a.in(at.Place, func() error {
		l, err := net.Listen("tcp4", at.Addr)
		if err != nil {
			return fmt.Errorf("listening on %s: %w", at.Addr, err)
		}
		*ok = true
		go serveEcho(l)
		return nil
	})
}

// serveEcho ends with the agent.
func serveEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 1)
			for {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}()
	}
}

// LatencyRequest asks for N requests of one byte, on a connection each.
type LatencyRequest struct {
	From Address // the place of the client, the address of the server
	N    int
}

// Latency returns the median time of a connect, a byte there and a byte back, in seconds.
func (a *Agent) Latency(q LatencyRequest, median1 *float64) error {
	return a.in(q.From.Place, func() error {
		samples := make([]float64, 0, q.N)
		for range q.N {
			d, err := request(q.From.Addr)
			if err != nil {
				return err
			}
			samples = append(samples, inSeconds(d))
		}
		*median1 = median(samples)
		return nil
	})
}

func request(addr string) (time.Duration, error) {
	begin := time.Now()
	c, err := net.DialTimeout("tcp4", addr, 5*time.Second)
	if err != nil {
		return 0, err
	}
	buf := []byte{'x'}
	_, err = c.Write(buf)
	if err == nil {
		_, err = io.ReadFull(c, buf)
	}
	d := time.Since(begin)
	// A reset leaves no connection in TIME-WAIT, thousands of which would use
	// the ports up.
	if tcp, ok := c.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetLinger(0))
	}
	return d, errors.Join(err, c.Close())
}
