package dns

import (
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// BenchmarkUnderstand is what one question costs besides the sockets.
func BenchmarkUnderstand(b *testing.B) {
	s := New(resolverOfThree())
	msg := asking(b, "web.", dnsmessage.TypeA, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, answer := s.understand(msg); answer == nil {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkLookup is one question and its answer, through sockets.
func BenchmarkLookup(b *testing.B) {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := New(resolverOfThree())
	s.Serve(udp, tcp)
	defer s.Close()
	conn, err := net.Dial("udp4", udp.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	msg, buf := asking(b, "web.", dnsmessage.TypeA, 0), make([]byte, 512)
	for b.Loop() {
		if _, err := conn.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
