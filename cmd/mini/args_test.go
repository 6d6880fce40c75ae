package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func testFlags() flagSet {
	return flagSet{
		boolFlag("interactive", "i", ""), boolFlag("tty", "t", ""), boolFlag("detach", "d", ""), boolFlag("rm", "", ""),
		listFlag("publish", "p", ""), listFlag("volume", "v", ""), listFlag("env", "e", ""),
		stringFlag("name", "", ""), stringFlag("network", "", "").or("net"), intFlag("stop-timeout", "", ""),
	}
}

func TestNormalise(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"-it --rm busybox sh -c x", "--interactive=true --tty=true --rm=true -- busybox sh -c x"},
		{"-itp 80:80 b", "--interactive=true --tty=true --publish=80:80 -- b"},
		{"-itp80:80 b", "--interactive=true --tty=true --publish=80:80 -- b"},
		{"-itv /a:/b b -v", "--interactive=true --tty=true --volume=/a:/b -- b -v"},
		{"-dp8080:80 b", "--detach=true --publish=8080:80 -- b"},
		{"-p8080:80 -p 81:81 b", "--publish=8080:80 --publish=81:81 -- b"},
		{"-e=-x -e -y b", "--env=-x --env=-y -- b"},
		{"-eA=b,c b", "--env=A=b,c -- b"},
		{"--rm=false -t=0 b", "--rm=false --tty=false -- b"},
		{"--net host --network=none b", "--network=host --network=none -- b"},
		{"--name= b", "--name= -- b"},
		{"--stop-timeout -1 b", "--stop-timeout=-1 -- b"},
		{"-d -- -x", "--detach=true -- -x"},
		{"- b", "-- - b"},
		{"", "--"},
	} {
		got, err := normalise(testFlags(), false, strings.Fields(tc.in))
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tc.in, got, err, tc.want)
		}
	}
}

func TestNormaliseInterspersed(t *testing.T) {
	got, err := normalise(testFlags(), true, strings.Fields("web -t db --name x -- -d"))
	if want := strings.Fields("--tty=true --name=x -- web db -d"); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestNormaliseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"--foo":             "unknown flag: --foo",
		"--foo=bar":         "unknown flag: --foo",
		"-x":                "unknown shorthand flag: 'x' in -x",
		"-itx":              "unknown shorthand flag: 'x' in -itx",
		"-é":                "unknown shorthand flag: 'é' in -é",
		"--name":            "flag needs an argument: --name",
		"-ite":              "flag needs an argument: 'e' in -ite",
		"--rm=maybe":        `invalid argument "maybe" for "--rm" flag`,
		"-t=x":              `invalid argument "x" for "-t, --tty" flag`,
		"--stop-timeout=1s": `invalid argument "1s" for "--stop-timeout" flag`,
	} {
		if _, err := normalise(testFlags(), false, strings.Fields(in)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"--help", "-h", "-ith"} {
		if _, err := normalise(testFlags(), false, strings.Fields(in)); !errors.Is(err, errHelp) {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

// FuzzNormalise checks that what comes out is read the same way again.
func FuzzNormalise(f *testing.F) {
	f.Add("-it\x00--rm=false\x00-p80:80\x00busybox\x00-x")
	f.Add("--name\x00--\x00--\x00-e")
	f.Fuzz(func(t *testing.T, joined string) {
		once, err := normalise(testFlags(), false, strings.Split(joined, "\x00"))
		if err != nil {
			return
		}
		twice, err := normalise(testFlags(), false, once)
		if err != nil || !slices.Equal(once, twice) {
			t.Errorf("%q becomes %q, then %q, %v", joined, once, twice, err)
		}
	})
}
