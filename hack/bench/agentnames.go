package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// LookupsRequest asks for N lookups of a name's address at the place, by so
// many clients at once.
type LookupsRequest struct {
	Place, Name string
	N, Workers  int
}

// LookupsResult is how fast they were.
type LookupsResult struct {
	PerSecond float64
	P99       float64 // seconds
}

// Lookups asks the name server that both Docker and mini have at 127.0.0.11.
func (a *Agent) Lookups(q LookupsRequest, r *LookupsResult) error {
	msg, err := question(q.Name)
	if err != nil {
		return err
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err := a.in(q.Place, func() error {
		for range q.Workers {
			c, err := net.Dial("udp4", "127.0.0.11:53")
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		return nil
	}); err != nil {
		return err
	}
	took, errs := make([][]time.Duration, q.Workers), make([]error, q.Workers)
	var all sync.WaitGroup
	begin := time.Now()
	for i, c := range conns {
		all.Go(func() { took[i], errs[i] = lookUp(c, msg, q.N/q.Workers) })
	}
	all.Wait()
	elapsed := time.Since(begin)
	times := slices.Sorted(slices.Values(slices.Concat(took...)))
	if err := errors.Join(errs...); err != nil || len(times) == 0 {
		return errors.Join(err, errors.New("the lookups failed"))
	}
	r.PerSecond = float64(len(times)) / elapsed.Seconds()
	r.P99 = inSeconds(times[len(times)*99/100])
	return nil
}

func question(name string) ([]byte, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
	}}
	return m.Pack()
}

// lookUp asks n times, one question after the other.
func lookUp(c net.Conn, msg []byte, n int) ([]time.Duration, error) {
	buf := make([]byte, 512)
	took := make([]time.Duration, 0, n)
	for range n {
		begin := time.Now()
		if err := c.SetDeadline(begin.Add(5 * time.Second)); err != nil {
			return nil, err
		}
		if _, err := c.Write(msg); err != nil {
			return nil, err
		}
		size, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		var m dnsmessage.Message
		if err := m.Unpack(buf[:size]); err != nil || len(m.Answers) == 0 {
			return nil, fmt.Errorf("the answer is %v, error %w", m, err)
		}
	}
	return took, nil
}
