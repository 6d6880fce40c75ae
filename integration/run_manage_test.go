package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

func TestPsColumnsAndFilters(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--name", "web", "-l", "tier=front", "-p", "8080:80", "-p", "127.0.0.1:5300:53/udp", "busybox", "httpd", "-f", "-p", "80", "-h", "/www")
	h.MustRun("run", "-d", "--name", "db", "--net", "none", "-l", "tier=back", "busybox", "sleep", "1000")
	h.Run("run", "--name", "failed", "--net", "none", "busybox", "sh", "-c", "exit 3")
	h.MustRun("create", "--name", "fresh", "--net", "none", "busybox", "true")
	lines := strings.Split(h.MustRun("ps", "-a"), "\n")
	if head := regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(lines[0]), -1); strings.Join(head, "|") != "CONTAINER ID|IMAGE|COMMAND|CREATED|STATUS|PORTS|NAMES" {
		t.Errorf("columns: %q", head)
	}
	for i, want := range []string{
		`^[0-9a-f]{12} +busybox +"true" +\S.* ago +Created +fresh$`,
		`^[0-9a-f]{12} +busybox +"sh -c 'exit 3'" +\S.* ago +Exited \(3\) .* ago +failed$`,
		`^[0-9a-f]{12} +busybox +"sleep 1000" +\S.* ago +Up .* +db$`,
		`^[0-9a-f]{12} +busybox +"httpd -f -p 80 -h /…" +\S.* ago +Up .* +127\.0\.0\.1:5300->53/udp, 0\.0\.0\.0:8080->80/tcp +web$`,
	} {
		if !regexp.MustCompile(want).MatchString(lines[i+1]) {
			t.Errorf("line %d is\n%s\nwant\n%s", i+1, lines[i+1], want)
		}
	}
	for _, c := range []struct {
		args string
		want string // names
	}{
		{"", "db web"},
		{"-a", "fresh failed db web"},
		{"-l", "fresh"},
		{"-n 2", "fresh failed"},
		{"-a --filter status=exited", "failed"},
		{"-a -f status=created -f status=running", "fresh db web"},
		{"-a --filter exited=3", "failed"},
		{"-a --filter exited=0", ""},
		{"--filter label=tier", "db web"},
		{"--filter label=tier=back", "db"},
		{"--filter name=w", "web"},
		{"-a --filter name=^f", "fresh failed"},
		{"--filter ancestor=busybox", "db web"},
		{"--filter ancestor=other", ""},
		{"--filter network=none", "db"},
		{"--filter publish=80", "web"},
		{"--filter publish=53/udp", "web"},
		{"-a --filter before=failed", "db web"},
		{"-a --filter since=failed", "fresh"},
		{"-a --filter since=failed --filter name=web", ""},
	} {
		t.Run("ps "+c.args, func(t *testing.T) {
			r := h.Run(strings.Fields("ps --format {{.Names}} " + c.args)...)
			wantOut(t, r, strings.ReplaceAll(c.want, " ", "\n"))
		})
	}
	t.Run("formats", func(t *testing.T) {
		wantOut(t, h.Run("ps", "--filter", "name=db", "--format", `{{.ID}} {{.Image}} {{.Command}} {{.State}} {{.Label "tier"}} {{upper .Names}}`),
			h.MustRun("inspect", "-f", "{{slice .Id 0 12}}", "db")+` busybox "sleep 1000" running back DB`)
		table := h.MustRun("ps", "--filter", "name=db", "--format", `table {{.Names}}\t{{.Image}}`)
		if !regexp.MustCompile(`^NAMES +IMAGE\ndb +busybox$`).MatchString(table) {
			t.Errorf("table: %q", table)
		}
		var row map[string]string
		if err := json.Unmarshal([]byte(h.MustRun("ps", "--filter", "name=db", "--format", "json")), &row); err != nil || row["Names"] != "db" {
			t.Errorf("json: %v, %v", row, err)
		}
		if long := h.MustRun("ps", "--no-trunc", "--filter", "name=web"); !strings.Contains(long, `"httpd -f -p 80 -h /www"`) ||
			!regexp.MustCompile(`(?m)^[0-9a-f]{64} `).MatchString(long) {
			t.Errorf("--no-trunc: %s", long)
		}
		ids := strings.Fields(h.MustRun("ps", "-a", "-q"))
		if len(ids) != 4 || len(ids[0]) != 12 {
			t.Errorf("-q: %q", ids)
		}
	})
	t.Run("bad filter and format", func(t *testing.T) {
		for _, args := range [][]string{{"--filter", "nosuch=1"}, {"--filter", "name"}, {"--format", "{{.Nosuch}}"}, {"--format", "{{"}} {
			if r := h.Run(append([]string{"ps"}, args...)...); r.Code == 0 || r.Stderr == "" {
				t.Errorf("%v", r)
			}
		}
	})
}

func TestReferences(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	var ids []string
	ambiguous := ""
	// Seventeen ids cannot all begin with different digits.
	for i := 0; ambiguous == ""; i++ {
		id := h.MustRun("create", "--net", "none", "--name", fmt.Sprintf("c%d", i), "busybox", "true")
		for _, other := range ids {
			if other[0] == id[0] {
				ambiguous = id[:1]
			}
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		for _, ref := range []string{id, id[:12], id[:20], fmt.Sprintf("c%d", i), fmt.Sprintf("/c%d", i)} {
			wantOut(t, h.Run("inspect", "-f", "{{.Id}}", ref), id)
		}
	}
	r := h.Run("start", ambiguous)
	if r.Code != 1 || !strings.Contains(r.Stderr, "multiple IDs found with provided prefix: "+ambiguous) {
		t.Errorf("an ambiguous prefix: %v", r)
	}
	for _, args := range [][]string{
		{"start", "nosuch"}, {"stop", "nosuch"}, {"kill", "nosuch"}, {"restart", "nosuch"}, {"wait", "nosuch"}, {"rm", "nosuch"},
		{"rename", "nosuch", "other"}, {"logs", "nosuch"}, {"attach", "nosuch"}, {"top", "nosuch"}, {"port", "nosuch"},
		{"exec", "nosuch", "true"}, {"start", "-a", "nosuch"},
	} {
		wantError(t, h.Run(args...), 1, "Error: No such container: nosuch")
	}
	r = h.Run("inspect", "nosuch")
	wantError(t, r, 1, "Error: No such object: nosuch")
	if r.Out() != "[]" {
		t.Errorf("%v", r)
	}
}

// TestSeveralArgumentsOneWrong: the good ones are done, the bad one is named,
// the code is 1.
func TestSeveralArgumentsOneWrong(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	for _, name := range []string{"aa", "bb"} {
		h.MustRun("create", "--net", "none", "--name", name, "busybox", "sleep", "1000")
	}
	for _, args := range []string{"start", "kill", "start", "restart -t 0", "stop -t 0", "wait", "rm"} {
		r := h.Run(append(strings.Fields(args), "aa", "nosuch", "bb")...)
		want := "aa\nbb"
		if args == "wait" {
			want = "137\n137"
		}
		if r.Code != 1 || r.Out() != want || r.Stderr != "Error: No such container: nosuch\n" {
			t.Errorf("%v", r)
		}
	}
	wantOut(t, h.Run("ps", "-aq"), "")
}

func TestInspect(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--name", "box", "-e", "A=b", "-w", "/www", "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "-l", "k=v",
		"-p", "8080:80", "--read-only", "--tmpfs", "/t:size=1m", "--init", "--hostname", "hh", "--stop-signal", "USR1", "busybox", "sleep", "1000")
	var all []map[string]any
	if err := json.Unmarshal([]byte(h.MustRun("inspect", "box")), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v, %d entries", err, len(all))
	}
	for format, want := range map[string]string{
		"{{.Name}}": "/box", "{{.Path}} {{.Args}}": "sleep [1000]", "{{.Config.Hostname}}": "hh", "{{.Config.WorkingDir}}": "/www",
		"{{.Config.Image}}": "busybox", "{{json .Config.Labels}}": `{"k":"v"}`, "{{.Config.StopSignal}}": "USR1", "{{json .Config.Cmd}}": `["sleep","1000"]`,
		"{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}": "67108864 500000000 50",
		"{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.AutoRemove}}":                 "true false",
		"{{.HostConfig.NetworkMode}} {{.HostConfig.Init}}":                          "bridge true",
		`{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}`:            "8080",
		"{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}}":               "172.17.0.2 172.17.0.1",
		"{{.NetworkSettings.MacAddress}}":                                           "02:42:ac:11:00:02",
		"{{.NetworkSettings.Networks.bridge.IPAddress}}":                            "172.17.0.2",
		"{{.State.Status}} {{.State.Running}} {{.State.OOMKilled}} {{.State.Dead}}": "running true false false",
		"{{range .Config.Env}}{{println .}}{{end}}":                                 "A=b",
	} {
		r := h.Run("inspect", "--format", format, "box")
		if format[2:7] == "range" { // the order of variables is no promise
			for _, line := range strings.Split(want, "\n") {
				if !strings.Contains("\n"+r.Stdout, "\n"+line+"\n") {
					t.Errorf("no %s in %v", line, r)
				}
			}
			continue
		}
		wantOut(t, r, want)
	}
	t.Run("other kinds of objects", func(t *testing.T) {
		wantOut(t, h.Run("inspect", "-f", "{{.Name}}", "bridge"), "bridge")
		wantOut(t, h.Run("inspect", "-f", "{{index .RepoTags 0}}", "busybox"), "busybox:latest")
		wantError(t, h.Run("inspect", "--type", "container", "bridge"), 1, "Error: No such container: bridge")
	})
	t.Run("a bad template", func(t *testing.T) {
		if r := h.Run("inspect", "-f", "{{.Nosuch}}", "box"); r.Code == 0 {
			t.Errorf("%v", r)
		}
	})
}

func TestLogs(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sh", "-c",
		"echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; while [ ! -e /go ]; do sleep 0.02; done; echo four; printf unterminated; exit 3")
	host.Eventually(t, patience, func() error {
		if r := h.Run("logs", "box"); r.Stdout != "one\nthree\n" || r.Stderr != "two\n" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	wantOutput(t, h.Run("logs", "--tail", "1", "box"), "three\n", "")
	wantOutput(t, h.Run("logs", "-n", "2", "box"), "three\n", "two\n")
	wantOutput(t, h.Run("logs", "--tail", "0", "box"), "", "")
	wantOutput(t, h.Run("logs", "--tail", "all", "box"), "one\nthree\n", "two\n")
	t.Log("time stamps")
	stamped := h.Run("logs", "-t", "--tail", "1", "box").Stdout
	stamp, text, _ := strings.Cut(stamped, " ")
	when, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || text != "three\n" || time.Since(when) > time.Minute || time.Since(when) < 0 {
		t.Errorf("%q: %v", stamped, err)
	}
	t.Log("since and until")
	second := when.Add(time.Second).Format(time.RFC3339)
	host.Eventually(t, patience, func() error {
		if time.Now().Before(when.Add(2 * time.Second)) {
			return fmt.Errorf("too early to tell the two parts of the log apart")
		}
		return nil
	})
	follower := h.Start(h.Mini("logs", "-f", "--tail", "1", "box"))
	host.Eventually(t, patience, func() error {
		if follower.Stdout() != "three\n" {
			return fmt.Errorf("the follower shows %q", follower.Stdout())
		}
		return nil
	})
	wantCode(t, h.Run("exec", "box", "touch", "/go"), 0)
	t.Log("logs -f ends with the container")
	r := follower.Wait(patience)
	wantOutput(t, r, "three\nfour\nunterminated", "")
	wantCode(t, r, 0)
	wantOutput(t, h.Run("logs", "--since", second, "box"), "four\nunterminated", "")
	wantOutput(t, h.Run("logs", "--until", second, "box"), "one\nthree\n", "two\n")
	wantOutput(t, h.Run("logs", "--since", "1h", "box"), "one\nthree\nfour\nunterminated", "two\n")
	wantOutput(t, h.Run("logs", "-f", "box"), "one\nthree\nfour\nunterminated", "two\n")
	for _, args := range [][]string{{"--since", "soon"}, {"--tail", "x"}} {
		if r := h.Run("logs", args[0], args[1], "box"); r.Code == 0 && args[0] == "--since" {
			t.Errorf("%v", r)
		}
	}
	t.Log("of a container that never ran")
	h.MustRun("create", "--net", "none", "--name", "fresh", "busybox", "true")
	wantOutput(t, h.Run("logs", "fresh"), "", "")
}

func TestPortAndTop(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--name", "box", "-p", "8080:80", "-p", "127.0.0.1:5300:53/udp", "busybox", "sh", "-c", "sleep 1000 & sleep 2000; true")
	wantOut(t, h.Run("port", "box"), "53/udp -> 127.0.0.1:5300\n80/tcp -> 0.0.0.0:8080")
	wantOut(t, h.Run("port", "box", "80"), "0.0.0.0:8080")
	wantOut(t, h.Run("port", "box", "53/udp"), "127.0.0.1:5300")
	r := h.Run("port", "box", "81")
	if r.Code != 1 || !strings.Contains(r.Stderr, "no public port '81/tcp' published for box") && !strings.Contains(r.Stderr, "no public port '81' published for box") {
		t.Errorf("%v", r)
	}
	host.Eventually(t, patience, func() error {
		top := h.Run("top", "box")
		lines := strings.Split(top.Out(), "\n")
		if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "UID PID PPID C STIME TTY TIME CMD" {
			return fmt.Errorf("%v", top)
		}
		pid := initPid(t, h, "box")
		if f := strings.Fields(lines[1]); f[0] != "root" && f[0] != "0" || f[1] != fmt.Sprint(pid) || !strings.HasSuffix(lines[1], "sh -c sleep 1000 & sleep 2000; true") {
			return fmt.Errorf("want process %d first: %v", pid, top)
		}
		if !strings.Contains(top.Stdout, " sleep 1000\n") || !strings.Contains(top.Stdout, " sleep 2000\n") {
			return fmt.Errorf("%v", top)
		}
		return nil
	})
	h.MustRun("stop", "-t", "0", "box")
	id := h.MustRun("inspect", "-f", "{{.Id}}", "box")
	if r := h.Run("top", "box"); r.Code != 1 || !strings.Contains(strings.ToLower(r.Stderr), "container "+id+" is not running") {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("port", "box"), "")
}

func TestStop(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	const trap = `trap 'echo got TERM; exit 0' TERM; trap 'echo got USR1; exit 1' USR1; trap 'echo got INT; exit 2' INT; echo ready; while :; do sleep 0.02; done`
	start := func(t *testing.T, flags []string, cmd ...string) {
		t.Helper()
		h.MustRun(append(append([]string{"run", "-d", "--net", "none", "--name", "box"}, flags...), append([]string{"busybox"}, cmd...)...)...)
		host.Eventually(t, patience, func() error {
			if cmd[0] == "sh" && !strings.Contains(h.Run("logs", "box").Stdout, "ready\n") {
				return fmt.Errorf("not ready")
			}
			return nil
		})
	}
	for _, c := range []struct {
		name  string
		flags []string
		stop  []string
		cmd   []string
		log   string
		code  int
		least time.Duration
	}{
		{"sends TERM", nil, nil, []string{"sh", "-c", trap}, "ready\ngot TERM\n", 0, 0},
		{"sends the stop signal", []string{"--stop-signal", "SIGUSR1"}, nil, []string{"sh", "-c", trap}, "ready\ngot USR1\n", 1, 0},
		{"sends what -s says", nil, []string{"-s", "INT"}, []string{"sh", "-c", trap}, "ready\ngot INT\n", 2, 0},
		{"kills after -t", nil, []string{"-t", "1"}, []string{"sleep", "1000"}, "", 137, time.Second},
		{"kills after --stop-timeout", []string{"--stop-timeout", "1"}, nil, []string{"sleep", "1000"}, "", 137, time.Second},
		{"-t above --stop-timeout", []string{"--stop-timeout", "100"}, []string{"--time=0"}, []string{"sleep", "1000"}, "", 137, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			start(t, c.flags, c.cmd...)
			r := h.Run(append(append([]string{"stop"}, c.stop...), "box")...)
			wantOut(t, r, "box")
			if r.Elapsed < c.least || r.Elapsed > c.least+3*time.Second {
				t.Errorf("it took %v, want %v and a little", r.Elapsed, c.least)
			}
			wantOut(t, h.Run("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box"), fmt.Sprintf("exited %d", c.code))
			if log := h.Run("logs", "box"); log.Stdout != c.log {
				t.Errorf("%v", log)
			}
			wantOut(t, h.Run("stop", "box"), "box") // again: no error
			wantOut(t, h.Run("rm", "box"), "box")
		})
	}
	t.Run("a bad signal", func(t *testing.T) {
		for _, args := range [][]string{{"run", "--stop-signal", "NOSUCH", "busybox", "true"}, {"kill", "-s", "NOSUCH", "box"}} {
			if r := h.Run(args...); r.Code == 0 || !strings.Contains(strings.ToLower(r.Stderr), "invalid signal: nosuch") {
				t.Errorf("%v", r)
			}
		}
	})
}

func TestKillNeedsARunningContainer(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("create", "--net", "none", "--name", "box", "busybox", "true")
	wantError(t, h.Run("kill", "box"), 1, fmt.Sprintf("Error: cannot kill container: box: container %s is not running", id))
}

func TestKillSendsTheSignal(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--net", "none", "--name", "box", "busybox", "sh", "-c", "trap 'echo hup' HUP; trap 'echo usr2' USR2; echo ready; while :; do sleep 0.02; done")
	log := func(want string) {
		t.Helper()
		host.Eventually(t, patience, func() error {
			if r := h.Run("logs", "box"); r.Stdout != want {
				return fmt.Errorf("%v", r)
			}
			return nil
		})
	}
	log("ready\n")
	wantOut(t, h.Run("kill", "-s", "HUP", "box"), "box")
	log("ready\nhup\n")
	wantOut(t, h.Run("kill", "--signal", "SIGUSR2", "box"), "box")
	log("ready\nhup\nusr2\n")
	wantOut(t, h.Run("kill", "-s", "1", "box"), "box")
	log("ready\nhup\nusr2\nhup\n")
}

func TestRestartKeepsNameIDAndFiles(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("run", "-d", "--name", "box", "-p", "8080:80", "busybox", "sh", "-c", "echo up >> /count; exec httpd -f -p 80 -h /")
	for i := 1; i <= 3; i++ {
		want := strings.Repeat("up\n", i)
		host.Eventually(t, patience, func() error {
			r, err := h.HTTPGet(host.Inside, "http://127.0.0.1:8080/count")
			if err == nil && r.Body != want {
				err = fmt.Errorf("got %q, want %q", r.Body, want)
			}
			return err
		})
		before := initPid(t, h, "box")
		wantOut(t, h.Run("restart", "-t", "0", "box"), "box")
		if initPid(t, h, "box") == before {
			t.Error("the same process after a restart")
		}
		wantOut(t, h.Run("inspect", "-f", "{{.Id}} {{.Name}}", "box"), id+" /box")
	}
	t.Log("a stopped one is started")
	h.MustRun("stop", "-t", "0", "box")
	wantOut(t, h.Run("restart", "box"), "box")
	wantOut(t, h.Run("inspect", "-f", "{{.State.Running}}", "box"), "true")
}

func TestRename(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("run", "-d", "--net", "none", "--name", "old", "busybox", "sleep", "1000")
	wantOutput(t, h.Run("rename", "old", "new"), "", "")
	wantOut(t, h.Run("inspect", "-f", "{{.Id}} {{.Name}}", "new"), id+" /new")
	wantError(t, h.Run("inspect", "-f", "x", "old"), 1, "Error: No such object: old")
	h.MustRun("create", "--net", "none", "--name", "old", "busybox", "true")
	r := h.Run("rename", "old", "new")
	if r.Code != 1 || !strings.Contains(r.Stderr, fmt.Sprintf("The container name \"/new\" is already in use by container %q", id)) {
		t.Errorf("%v", r)
	}
	for _, bad := range []string{"", "a/b", "..", "-x", "ä"} {
		if r := h.Run("rename", "--", "old", bad); r.Code == 0 || r.Stderr == "" {
			t.Errorf("%v", r)
		}
	}
	wantOut(t, h.Run("ps", "-a", "--format", "{{.Names}}"), "old\nnew")
	wantOut(t, h.Run("exec", "new", "echo", "fine"), "fine")
	wantOut(t, h.Run("rm", "-f", "new", "old"), "new\nold")
}

func TestRm(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	h.MustRun("run", "-d", "--name", "box", "busybox", "sleep", "1000")
	wantError(t, h.Run("rm", "box"), 1,
		`Error: cannot remove container "/box": container is running: stop the container before removing or force remove`)
	wantOut(t, h.Run("rm", "-f", "box"), "box")
	wantOut(t, h.Run("ps", "-aq"), "")
	t.Log("rm -f of one that is not there is no error, as in Docker")
	r := h.Run("rm", "-f", "box")
	if r.Code != 0 && r.Code != 1 || !strings.Contains(r.Stderr, "No such container: box") {
		t.Errorf("%v", r)
	}
	t.Log("the name is free again")
	wantOut(t, h.Run("run", "--rm", "--name", "box", "busybox", "echo", "again"), "again")
}

func TestCreateAndStart(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	r := h.Run("create", "--name", "box", "busybox", "sh", "-c", "echo hello; sleep 1000")
	if !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(r.Stdout) {
		t.Fatalf("%v", r)
	}
	wantOut(t, h.Run("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "box"), "created 0")
	wantOut(t, h.Run("start", "box"), "box")
	wantOut(t, h.Run("start", "box"), "box") // running already: no error, as in Docker
	host.Eventually(t, patience, func() error {
		if r := h.Run("logs", "box"); r.Stdout != "hello\n" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
}

// TestCreatedStaysUntilItIsStarted: --rm is for afterwards.
func TestCreatedStaysUntilItIsStarted(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	id := h.MustRun("create", "--rm", "--name", "box", "busybox", "echo", "hello")
	for range 3 {
		wantOut(t, h.Run("ps", "-aq", "--no-trunc"), id)
	}
	wantOut(t, h.Run("start", "-a", "box"), "hello")
	wantOut(t, h.Run("ps", "-aq", "--no-trunc"), "")
}

func TestCidfile(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	file := h.Dir + "/cid"
	id := h.MustRun("run", "-d", "--net", "none", "--cidfile", file, "busybox", "sleep", "1000")
	if text, err := os.ReadFile(file); err != nil || string(text) != id {
		t.Errorf("%q, %v; want %s", text, err, id)
	}
	r := h.Run("run", "--cidfile", file, "busybox", "true")
	if r.Code != 125 || !strings.Contains(r.Stderr, file) || !strings.Contains(r.Stderr, "container ID file found") {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("ps", "-aq", "--no-trunc"), id)
}

func TestImages(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	tarball, err := host.Busybox()
	if err != nil {
		t.Fatal(err)
	}
	id := h.MustRun("images", "-q", "--no-trunc")
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("id %q", id)
	}
	lines := strings.Split(h.MustRun("images"), "\n")
	if strings.Join(strings.Fields(lines[0]), " ") != "REPOSITORY TAG IMAGE ID CREATED SIZE" ||
		!regexp.MustCompile(`^busybox +latest +`+id[7:19]+` +.* ago +[\d.]+MB$`).MatchString(lines[1]) || len(lines) != 2 {
		t.Errorf("%q", lines)
	}
	h.MustRun("tag", "busybox", "example.com:5000/team/tool:v1")
	wantOut(t, h.Run("images", "--format", "{{.Repository}}:{{.Tag}}", "example.com:5000/team/tool"), "example.com:5000/team/tool:v1")
	wantOut(t, h.Run("run", "--rm", "--net", "none", "example.com:5000/team/tool:v1", "echo", "hi"), "hi")
	wantOut(t, h.Run("run", "--rm", "--net", "none", id[7:15], "echo", "hi"), "hi")
	t.Log("import from the standard input, with changes")
	data, err := os.ReadFile(tarball)
	if err != nil {
		t.Fatal(err)
	}
	c := h.Mini("import", "-c", `CMD ["echo","from cmd"]`, "--change", "ENV A=1 B=two", "-c", "WORKDIR /www", "-c", "LABEL k=v", "-c", "USER app",
		"-c", "EXPOSE 80", "-c", "STOPSIGNAL SIGUSR1", "-m", "hello", "-", "changed:v2")
	c.Stdin = string(data)
	r := h.Do(c)
	if r.Code != 0 || !regexp.MustCompile(`^sha256:[0-9a-f]{64}\n$`).MatchString(r.Stdout) {
		t.Fatalf("%v", r)
	}
	wantOut(t, h.Run("run", "--rm", "--net", "none", "changed:v2"), "from cmd")
	wantOut(t, h.Run("run", "--rm", "--net", "none", "changed:v2", "sh", "-c", "echo $A $B; pwd; id -un"), "1 two\n/www\napp")
	h.MustRun("create", "--name", "user", "--net", "none", "changed:v2")
	wantOut(t, h.Run("inspect", "-f", "{{.Config.StopSignal}} {{.Config.Labels.k}}", "user"), "SIGUSR1 v")
	t.Log("removing")
	r = h.Run("rmi", "changed:v2")
	if r.Code != 1 || !strings.Contains(r.Stderr, "conflict: unable to remove repository reference \"changed:v2\" (must force) - container "+h.MustRun("ps", "-aq")+" is using its referenced image") {
		t.Errorf("%v", r)
	}
	h.MustRun("rm", "user")
	r = h.Run("rmi", "changed:v2")
	if !regexp.MustCompile(`^Untagged: changed:v2\nDeleted: sha256:[0-9a-f]{64}\n`).MatchString(r.Stdout) {
		t.Errorf("%v", r)
	}
	wantOut(t, h.Run("rmi", "example.com:5000/team/tool:v1"), "Untagged: example.com:5000/team/tool:v1")
	r = h.Run("rmi", "nosuch")
	if r.Code != 1 || !strings.Contains(r.Stderr, "No such image: nosuch:latest") {
		t.Errorf("%v", r)
	}
	for _, bad := range []string{"Upper", "a b", "x:", ":y", "a//b"} {
		if r := h.Run("tag", "busybox", bad); r.Code != 1 || !strings.Contains(r.Stderr, "invalid reference format") {
			t.Errorf("%v", r)
		}
	}
	for _, args := range [][]string{{"import", "/no/such.tar", "x"}, {"import", "-c", "FROM x", tarball, "x"}, {"import", "/etc/passwd", "x"}} {
		if r := h.Run(args...); r.Code != 1 || r.Stderr == "" {
			t.Errorf("%v", r)
		}
	}
	wantOut(t, h.Run("images", "-q", "--no-trunc"), id)
}

func TestVersionAndInfo(t *testing.T) {
	t.Parallel()
	h := busyboxHost(t)
	if v := h.MustRun("version"); !strings.Contains(strings.ToLower(v), "version") {
		t.Errorf("version: %s", v)
	}
	h.MustRun("run", "-d", "--net", "none", "busybox", "sleep", "1000")
	h.MustRun("create", "--net", "none", "busybox", "true")
	info := h.MustRun("info")
	for _, want := range []string{"Containers: 2", "Running: 1", "Images: 1", h.Root} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in:\n%s", want, info)
		}
	}
	wantOut(t, h.Run("info", "-f", "{{.ContainersRunning}} {{.Images}}"), "1 1")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if text := h.MustRun("completion", shell); len(text) < 100 || !strings.Contains(text, "mini") {
			t.Errorf("completion %s: %q", shell, text)
		}
	}
	r := h.Do(host.Command{Args: []string{"bash", "-nc", h.MustRun("completion", "bash")}})
	wantCode(t, r, 0)
}
