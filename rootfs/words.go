package rootfs

import (
	"errors"
	"fmt"
	"strings"
)

type pair struct{ key, value string }

// keyValues reads "a=1 b='x y'", or "a all the rest" when the first word has no
// equals sign.
func keyValues(args string, env []string) ([]pair, error) {
	first := args
	if i := strings.IndexAny(args, " \t"); i >= 0 {
		first = args[:i]
	}
	if !strings.Contains(first, "=") {
		if len(first) == len(args) {
			return nil, fmt.Errorf("%s must have two arguments or the form NAME=VALUE", first)
		}
		value, err := expand(strings.TrimSpace(args[len(first):]), env)
		return []pair{{first, value}}, err
	}
	ws, err := words(args, env)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, w := range ws {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("syntax error - can't find = in %q: must be of the form NAME=VALUE", w)
		}
		if key == "" {
			return nil, fmt.Errorf("names can not be blank in %q", w)
		}
		pairs = append(pairs, pair{key, value})
	}
	return pairs, nil
}

// words splits a text as a shell would: quotes, backslashes and variables.
func words(text string, env []string) ([]string, error) {
	l := lexer{text: text, env: env, split: true}
	err := l.run()
	return l.words, err
}

// expand is words without the splitting.
func expand(text string, env []string) (string, error) {
	l := lexer{text: text, env: env}
	err := l.run()
	return strings.Join(l.words, ""), err
}

// lexer reads a text byte by byte. Only ASCII has a meaning, so UTF-8 passes.
type lexer struct {
	text  string
	env   []string
	split bool

	pos    int
	quote  byte // the open quote, or 0
	inWord bool // a word has begun, if only with ""
	word   strings.Builder
	words  []string
}

func (l *lexer) run() error {
	for l.pos < len(l.text) {
		if err := l.step(); err != nil {
			return err
		}
	}
	if l.quote != 0 {
		return fmt.Errorf("unexpected end of statement while looking for matching %q", l.quote)
	}
	l.endWord()
	return nil
}

func (l *lexer) step() error {
	c := l.text[l.pos]
	l.pos++
	switch {
	case l.quote == '\'' && c != '\'':
		l.put(c)
	case c == l.quote && c != 0:
		l.quote = 0
	case l.quote == 0 && (c == '\'' || c == '"'):
		l.quote, l.inWord = c, true
	case c == '\\':
		l.escape()
	case c == '$':
		return l.variable()
	case l.split && l.quote == 0 && (c == ' ' || c == '\t'):
		l.endWord()
	default:
		l.put(c)
	}
	return nil
}

func (l *lexer) put(c byte) {
	l.inWord = true
	l.word.WriteByte(c)
}

// escape handles what follows a backslash. In double quotes it escapes only
// what would have a meaning there, as in sh(1).
func (l *lexer) escape() {
	if l.pos == len(l.text) {
		l.put('\\')
		return
	}
	c := l.text[l.pos]
	l.pos++
	if l.quote == '"' && c != '"' && c != '$' && c != '\\' {
		l.put('\\')
	}
	l.put(c)
}

// variable puts the value of $NAME or ${NAME}; without a value, nothing.
func (l *lexer) variable() error {
	rest := l.text[l.pos:]
	braced := strings.HasPrefix(rest, "{")
	if braced {
		rest = rest[1:]
	}
	n := 0
	for n < len(rest) && (isAlnum(rest[n]) && (n > 0 || !isDigit(rest[n])) || rest[n] == '_') {
		n++
	}
	name := rest[:n]
	switch {
	case braced && (name == "" || n == len(rest) || rest[n] != '}'):
		return errors.New("only $NAME and ${NAME} can be replaced")
	case name == "":
		l.put('$')
		return nil
	}
	l.pos += n
	if braced {
		l.pos += 2
	}
	for _, e := range l.env {
		if key, value, _ := strings.Cut(e, "="); key == name {
			l.inWord = true
			l.word.WriteString(value)
		}
	}
	return nil
}

func (l *lexer) endWord() {
	if l.inWord {
		l.words = append(l.words, l.word.String())
	}
	l.word.Reset()
	l.inWord = false
}
