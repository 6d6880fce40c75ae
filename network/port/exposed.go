package port

import (
	"cmp"
	"fmt"
	"slices"
)

// Exposed is a port that a container listens on, or says so: EXPOSE of an image
// and `--expose`. It opens nothing; `-P` publishes it.
type Exposed struct {
	Port  uint16 `json:"port"`
	Proto Proto  `json:"proto"`
}

// String gives Docker's form, 80/tcp.
func (e Exposed) String() string { return fmt.Sprintf("%d/%s", e.Port, e.Proto) }

// Exposed is the container's side of a mapping.
func (m Mapping) Exposed() Exposed { return Exposed{Port: m.ContainerPort, Proto: m.Proto} }

// ParseExposed reads PORT[-END][/tcp|udp|sctp].
func ParseExposed(spec string) ([]Exposed, error) {
	body, proto, err := splitProto(spec)
	var first, last uint16
	if err == nil {
		first, last, err = parseRange("port", body)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid exposed port %q: %w", spec, err)
	}
	var all []Exposed
	for p := int(first); p <= int(last); p++ {
		all = append(all, Exposed{Port: uint16(p), Proto: proto})
	}
	return all, nil
}

// SortExposed puts ports in order, each once.
func SortExposed(list []Exposed) []Exposed {
	slices.SortFunc(list, func(a, b Exposed) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
	})
	return slices.Compact(list)
}
