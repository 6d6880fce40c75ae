package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	defaultDomain = "docker.io"
	defaultTag    = "latest"
	maxNameLen    = 255 // of domain and path together, as in Docker
	maxTagLen     = 128
)

// Reference is an image's name, taken apart. The grammar is that of the
// distribution project, with Docker's defaults: "busybox" stands for
// docker.io/library/busybox:latest.
type Reference struct {
	Domain string // registry, such as docker.io or localhost:5000
	Path   string // repository, such as library/busybox
	Tag    string // empty only when there is a digest
	Digest string // algorithm:hex, or empty
}

// ParseReference reads an image's name. Without tag and digest the tag is
// "latest". Errors wrap [ErrInvalidReference].
func ParseReference(s string) (Reference, error) {
	if isHex(s, 64) {
		return Reference{}, fmt.Errorf("%w: %q is an image id, not a name", ErrInvalidReference, s)
	}
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !validDigest(digest) {
		return Reference{}, fmt.Errorf("%w: %q has a malformed digest", ErrInvalidReference, s)
	}
	name, tag := splitTag(rest)
	if tag != "" && !validTag(tag) || strings.HasSuffix(rest, ":") {
		return Reference{}, fmt.Errorf("%w: %q has a malformed tag", ErrInvalidReference, s)
	}
	if tag == "" && digest == "" {
		tag = defaultTag
	}
	r := Reference{Tag: tag, Digest: digest}
	r.Domain, r.Path = splitDomain(name)
	return r, r.check(s)
}

func (r Reference) check(given string) error {
	switch {
	case !validDomain(r.Domain):
		return fmt.Errorf("%w: %q has a malformed registry", ErrInvalidReference, given)
	case r.Path != strings.ToLower(r.Path):
		return fmt.Errorf("%w: repository name (%s) must be lowercase", ErrInvalidReference, r.Path)
	case !validPath(r.Path):
		return fmt.Errorf("%w: %q", ErrInvalidReference, given)
	case len(r.Domain)+1+len(r.Path) > maxNameLen:
		return fmt.Errorf("%w: repository name must not be more than %d characters", ErrInvalidReference, maxNameLen)
	}
	return nil
}

// Name gives the familiar name without tag and digest: what Docker shows under
// REPOSITORY.
func (r Reference) Name() string {
	if r.Domain != defaultDomain {
		return r.Domain + "/" + r.Path
	}
	short, ok := strings.CutPrefix(r.Path, "library/")
	if ok && !strings.Contains(short, "/") {
		return short
	}
	return r.Path
}

// String gives the familiar form, such as busybox:latest.
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// fileName gives the reference as one file name. '+' cannot occur in a
// reference, so it can stand for the slash; what is longer than a file name may
// be is hashed, which cannot clash either as every other name has a ':'.
func (r Reference) fileName() string {
	name := strings.ReplaceAll(r.String(), "/", "+")
	if len(name) <= 255 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// splitTag cuts at the last colon, unless it belongs to the registry's port.
func splitTag(s string) (name, tag string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], '/') >= 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// splitDomain tells a registry from the first part of a path: a registry has a
// dot, a port or an upper-case letter, or is localhost.
func splitDomain(name string) (domain, path string) {
	first, rest, found := strings.Cut(name, "/")
	isDomain := found && (strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first)
	if !isDomain {
		first, rest = defaultDomain, name
	}
	if first == "index.docker.io" {
		first = defaultDomain
	}
	if first == defaultDomain && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return first, rest
}

func validDomain(d string) bool {
	host, port := d, ""
	if strings.HasPrefix(d, "[") {
		end := strings.IndexByte(d, ']')
		if end < 2 || strings.Trim(d[1:end], "0123456789abcdefABCDEF:") != "" {
			return false
		}
		rest := d[end+1:]
		return rest == "" || rest[0] == ':' && allOf(rest[1:], isDigit)
	}
	if i := strings.IndexByte(d, ':'); i >= 0 {
		host, port = d[:i], d[i+1:]
		if !allOf(port, isDigit) {
			return false
		}
	}
	for label := range strings.SplitSeq(host, ".") {
		if !allOf(label, func(c byte) bool { return isAlnum(c) || c == '-' }) ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func validPath(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if !validPathPart(part) {
			return false
		}
	}
	return true
}

// validPathPart wants runs of lower-case letters and digits, parted by one dot,
// one or two underscores, or any number of dashes.
func validPathPart(part string) bool {
	if part == "" || !isLowerAlnum(part[0]) || !isLowerAlnum(part[len(part)-1]) {
		return false
	}
	for i := 0; i < len(part); {
		j := i
		for j < len(part) && !isLowerAlnum(part[j]) {
			j++
		}
		sep := part[i:j]
		if sep != "" && sep != "." && sep != "_" && sep != "__" && strings.Trim(sep, "-") != "" {
			return false
		}
		i = j + 1
	}
	return true
}

func validTag(t string) bool {
	word := func(c byte) bool { return isAlnum(c) || c == '_' }
	return len(t) <= maxTagLen && allOf(t, func(c byte) bool { return word(c) || c == '.' || c == '-' }) && word(t[0])
}

func validDigest(d string) bool {
	algorithm, sum, _ := strings.Cut(d, ":")
	return algorithm == "sha256" && isHex(sum, 64) || algorithm == "sha512" && isHex(sum, 128)
}

// isHex tells whether s consists of n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == n && allOf(s, func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' })
}

func isDigit(c byte) bool      { return '0' <= c && c <= '9' }
func isLowerAlnum(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'z' }
func isAlnum(c byte) bool      { return isLowerAlnum(c) || 'A' <= c && c <= 'Z' }

// allOf tells whether s is not empty and ok holds for each byte.
func allOf(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return s != ""
}
