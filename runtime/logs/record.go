package logs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// The names of the two streams.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Record is one line of a log file. Log belongs to the reader and is valid
// until the function it was given to returns.
type Record struct {
	Log    []byte // with its "\n", unless the line goes on in the next record
	Stream string // Stdout or Stderr
	Time   time.Time
}

const hexDigits = "0123456789abcdef"

// appendRecord appends one line of the file. Nothing is allocated when dst has
// room: this runs for each line a container prints.
func appendRecord(dst []byte, stream string, text []byte, newline bool, t time.Time) []byte {
	dst = append(dst, `{"log":"`...)
	dst = appendEscaped(dst, text)
	if newline {
		dst = append(dst, `\n`...)
	}
	dst = append(dst, `","stream":"`...)
	dst = append(dst, stream...)
	dst = append(dst, `","time":"`...)
	dst = t.AppendFormat(dst, time.RFC3339Nano)
	return append(dst, `"}`+"\n"...)
}

// appendEscaped appends s as the inside of a JSON string (RFC 8259, section 7).
func appendEscaped(dst, s []byte) []byte {
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= ' ' && b < utf8.RuneSelf && b != '"' && b != '\\' {
			i++
			continue
		}
		size := 1
		if b >= utf8.RuneSelf {
			if _, size = utf8.DecodeRune(s[i:]); size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, b)
		i++
		start = i
	}
	return append(dst, s[start:]...)
}

func appendEscape(dst []byte, b byte) []byte {
	switch {
	case b >= utf8.RuneSelf: // not UTF-8
		return append(dst, `\ufffd`...)
	case b == '"' || b == '\\':
		return append(dst, '\\', b)
	case b == '\n':
		return append(dst, `\n`...)
	case b == '\r':
		return append(dst, `\r`...)
	case b == '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
}

// parse reads one line of the file, without its line feed. The text is put in
// buf, which is returned for the next call.
func parse(line, buf []byte) (Record, []byte, bool) {
	if r, out, ok := parseOwn(line, buf[:0]); ok {
		return r, out, true
	}
	return parseAny(line, buf)
}

// parseOwn reads the members in the order in which this package and Docker
// write them. It gives up on everything else.
func parseOwn(line, buf []byte) (r Record, out []byte, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"log":"`))
	if !ok {
		return r, buf, false
	}
	out, rest, ok = unescape(buf, rest)
	if !ok {
		return r, out, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"stream":"std`)); !ok {
		return r, out, false
	}
	stream, rest, ok := bytes.Cut(rest, []byte(`","time":"`))
	if !ok {
		return r, out, false
	}
	switch string(stream) {
	case "out":
		r.Stream = Stdout
	case "err":
		r.Stream = Stderr
	default:
		return r, out, false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte(`"}`)); !ok {
		return r, out, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(rest))
	r.Log, r.Time = out, t
	return r, out, err == nil
}

// unescape appends the JSON string that src is inside of to dst, and returns
// what follows its closing quote.
func unescape(dst, src []byte) (out, rest []byte, ok bool) {
	start := 0
	for i := 0; i < len(src); {
		switch b := src[i]; {
		case b == '"':
			out = append(dst, src[start:i]...)
			return out, src[i+1:], utf8.Valid(src[:i])
		case b < ' ':
			return dst, nil, false
		case b != '\\':
			i++
		default:
			dst = append(dst, src[start:i]...)
			var n int
			if dst, n = unescapeOne(dst, src[i:]); n == 0 {
				return dst, nil, false
			}
			i += n
			start = i
		}
	}
	return dst, nil, false
}

// unescapeOne appends what the escape at the start of src means, and returns
// its length: 0 for one that only the general parser knows.
func unescapeOne(dst, src []byte) ([]byte, int) {
	if len(src) < 2 {
		return dst, 0
	}
	switch src[1] {
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case '"', '\\':
		return append(dst, src[1]), 2
	case 'u':
		if len(src) < 6 {
			return dst, 0
		}
		n, err := strconv.ParseUint(string(src[2:6]), 16, 16)
		if err != nil || n >= 0xd800 && n < 0xe000 {
			return dst, 0
		}
		return utf8.AppendRune(dst, rune(n)), 6
	}
	return dst, 0
}

// parseAny reads a record that another program wrote or changed.
func parseAny(line, buf []byte) (Record, []byte, bool) {
	var j struct {
		Log    *string   `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}
	if json.Unmarshal(line, &j) != nil || j.Log == nil || (j.Stream != Stdout && j.Stream != Stderr) {
		return Record{}, buf, false
	}
	buf = append(buf[:0], *j.Log...)
	return Record{Log: buf, Stream: j.Stream, Time: j.Time}, buf, true
}
