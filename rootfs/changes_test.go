package rootfs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseChanges(t *testing.T) {
	set := func(keys ...string) map[string]struct{} {
		m := map[string]struct{}{}
		for _, k := range keys {
			m[k] = struct{}{}
		}
		return m
	}
	for in, want := range map[string]ImageConfig{
		`CMD ["a", "b c"]`:                 {Cmd: []string{"a", "b c"}},
		`cmd echo "hi" $X`:                 {Cmd: []string{"/bin/sh", "-c", `echo "hi" $X`}},
		`CMD []`:                           {Cmd: []string{}},
		`CMD ['a']`:                        {Cmd: []string{"/bin/sh", "-c", "['a']"}},
		`ENTRYPOINT ["/init"]`:             {Entrypoint: []string{"/init"}},
		`ENTRYPOINT exec top`:              {Entrypoint: []string{"/bin/sh", "-c", "exec top"}},
		`ENV A=1 B="x y" C='$A' D=a\ b E=`: {Env: []string{"A=1", "B=x y", "C=$A", "D=a b", "E="}},
		`ENV A b  c`:                       {Env: []string{"A=b  c"}},
		"ENV A=1\nENV A=2\n# note\n\nENV B=${A}$A-$NO$ C=$9": {Env: []string{"A=2", "B=22-$", "C=$9"}},
		`ENV A="a\"b\n"`:             {Env: []string{`A=a"b\n`}},
		`EXPOSE 80 53/UDP 8000-8001`: {ExposedPorts: set("80/tcp", "53/udp", "8000/tcp", "8001/tcp")},
		`LABEL a=b "c d"="e f"`:      {Labels: map[string]string{"a": "b", "c d": "e f"}},
		`LABEL a b`:                  {Labels: map[string]string{"a": "b"}},
		"ENV U=bob\nUSER $U:staff":   {User: "bob:staff", Env: []string{"U=bob"}},
		`VOLUME /a b`:                {Volumes: set("/a", "/b")},
		`VOLUME ["/a b"]`:            {Volumes: set("/a b")},
		"WORKDIR /a\nWORKDIR b d":    {WorkingDir: "/a/b d"},
		"WORKDIR x":                  {WorkingDir: "/x"},
		`STOPSIGNAL SIGINT`:          {StopSignal: "SIGINT"},
		`STOPSIGNAL 9`:               {StopSignal: "9"},
		`STOPSIGNAL RTMIN+3`:         {StopSignal: "RTMIN+3"},
		`HEALTHCHECK NONE`:           {},
	} {
		got, err := ParseChanges([]string{in})
		if err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestBadChanges(t *testing.T) {
	for in, want := range map[string]string{
		`RUN x`:                "RUN is not a valid change command",
		`FROM x`:               "FROM is not a valid change command",
		`CMD`:                  "CMD requires at least one argument",
		`ENV A`:                "must have two arguments",
		`ENV =x`:               "names can not be blank",
		`ENV A=1 B`:            "can't find =",
		`ENV A="x`:             "unexpected end of statement",
		`ENV A=${B:-c}`:        "only $NAME and ${NAME}",
		`EXPOSE 0`:             "invalid containerPort",
		`EXPOSE 65536`:         "invalid containerPort",
		`EXPOSE 9-8`:           "invalid containerPort",
		`EXPOSE 80/icmp`:       "invalid proto",
		`USER a b`:             "requires exactly one argument",
		`VOLUME [""]`:          "can not be an empty string",
		`STOPSIGNAL SIGNOPE`:   "invalid signal: SIGNOPE",
		`STOPSIGNAL 65`:        "invalid signal: 65",
		`HEALTHCHECK CMD true`: "health checks are not supported",
		`ONBUILD RUN true`:     "not supported: mini does not build images",
	} {
		_, err := ParseChanges([]string{in})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

func FuzzParseChanges(f *testing.F) {
	for _, s := range []string{`CMD ["a"]`, `ENV A="b" C=$A`, "LABEL a=b\nUSER x", `VOLUME ["x"]`, `EXPOSE 1-65535/udp`, `ENV A=${`, `ENV A=\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseChanges([]string{s})
		if err != nil {
			return
		}
		for _, e := range c.Env {
			if strings.IndexByte(e, '=') < 1 {
				t.Errorf("%q gives the variable %q", s, e)
			}
		}
		for v := range c.Volumes {
			if v[0] != '/' {
				t.Errorf("%q gives the volume %q", s, v)
			}
		}
	})
}
