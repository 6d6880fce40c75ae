package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
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
		{"--filter publish=8080", "web"},
		{"--filter publish=80", ""},
		{"--filter expose=80", "web"},
		{"--filter publish=5300/udp", "web"},
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
	t.Run("sizes", func(t *testing.T) {
		h.MustRun("exec", "db", "sh", "-c", "head -c 1500 /dev/zero > /root/file; ln -s /bin /root/link")
		wantOut(t, h.Run("inspect", "-s", "-f", "{{.SizeRw}}", "db"), "1500")
		wantOut(t, h.Run("ps", "-a", "--filter", "name=fresh", "--format", "{{slice .Size 0 11}}"), "0B (virtual")
		if table := h.MustRun("ps", "-s", "--filter", "name=db"); !regexp.MustCompile(`NAMES +SIZE\n.* db +1\.5kB \(virtual [0-9.]+MB\)$`).MatchString(table) {
			t.Errorf("ps -s: %q", table)
		}
		image, err := strconv.Atoi(h.MustRun("image", "inspect", "-f", "{{.Size}}", "busybox"))
		if err != nil {
			t.Fatal(err)
		}
		wantOut(t, h.Run("container", "inspect", "--size", "-f", "{{.SizeRootFs}}", "db"), strconv.Itoa(image+1500))
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
