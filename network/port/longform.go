package port

import (
	"errors"
	"fmt"
	"strings"
)

// parseLong reads the form that Docker has for services and in Compose files,
//
//	published=8080,target=80,protocol=tcp,host_ip=127.0.0.1,mode=host
//
// in any order. Only target must be there.
func parseLong(spec string) (w words, err error) {
	w.proto = TCP
	seen := map[string]bool{}
	for _, field := range strings.Split(spec, ",") {
		key, value, ok := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		switch {
		case !ok || key == "":
			return w, fmt.Errorf("want name=value, not %q", field)
		case seen[key]:
			return w, fmt.Errorf("%s is given twice", key)
		case value == "":
			return w, fmt.Errorf("%s has no value", key)
		}
		seen[key] = true
		if err := w.set(key, value); err != nil {
			return w, err
		}
	}
	if w.container == "" {
		return w, errors.New("no target: want target=PORT, the port inside the container")
	}
	return w, nil
}

func (w *words) set(key, value string) (err error) {
	switch key {
	case "published":
		w.host = value
	case "target":
		w.container = value
	case "protocol":
		w.proto, err = parseProto(value)
	case "host_ip":
		w.ip, err = ParseHostIP(value)
	case "mode":
		return checkPublishMode(value)
	default:
		return fmt.Errorf("%q is not known: want published, target, protocol, host_ip or mode", key)
	}
	return err
}

// checkPublishMode takes the one mode there is on a single host.
func checkPublishMode(mode string) error {
	switch mode {
	case "host":
		return nil
	case "ingress":
		return errors.New("mode=ingress needs a swarm of hosts, and mini knows one host: leave it out, or write mode=host")
	}
	return fmt.Errorf("unknown mode %q: want host", mode)
}
