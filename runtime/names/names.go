package names

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxLen is the longest name of a container, in bytes. A name becomes part of
// file names, which end at 255 bytes, and of host names in the network's DNS.
const MaxLen = 128

// Valid reports what is wrong with a container's name. The rule and the text of
// the error are Docker's; the limit on the length is mini's.
func Valid(name string) error {
	if len(name) > MaxLen {
		return fmt.Errorf("invalid container name (%s…): %d characters, at most %d are allowed",
			strings.ToValidUTF8(name[:32], "\uFFFD"), len(name), MaxLen)
	}
	ok := len(name) >= 2 && alnum(name[0])
	for i := 1; ok && i < len(name); i++ {
		c := name[i]
		ok = alnum(c) || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		//lint:ignore ST1005 scripts and people know this text from Docker
		return fmt.Errorf("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	return nil
}

func alnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Random returns a name like "patient_lovelace". It is not unique: ask again
// when it is taken, or append a digit.
func Random() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: see crypto/rand
	return pick(adjectives, binary.LittleEndian.Uint32(b[:])) + "_" +
		pick(surnames, binary.LittleEndian.Uint32(b[4:]))
}

// pick takes the word of a list that n chooses. Every word has the same chance,
// but for the remainder of 2³² divided by the number of words.
func pick(list string, n uint32) string {
	for skip := n % uint32(strings.Count(list, " ")+1); skip > 0; skip-- {
		list = list[strings.IndexByte(list, ' ')+1:]
	}
	word, _, _ := strings.Cut(list, " ")
	return word
}

// NewID returns a random id: 64 hexadecimal digits, lower case. Its first 12
// digits, the short id, are never all decimal: the short id is the container's
// default host name, and programs take a host name of digits for a number.
func NewID() string {
	for {
		var b [32]byte
		rand.Read(b[:]) // never fails: see crypto/rand
		if id := hex.EncodeToString(b[:]); !decimal(id[:12]) {
			return id
		}
	}
}

func decimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
