package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// recorder builds steps that write down when they are done and undone.
type recorder struct{ log []string }

func (r *recorder) step(name string, fail error) Step {
	return Step{
		Name: name,
		Do: func(context.Context) error {
			r.log = append(r.log, "do "+name)
			return fail
		},
		Undo: func(ctx context.Context) error {
			r.log = append(r.log, "undo "+name)
			return ctx.Err()
		},
	}
}

func TestRunUndoesInReverseOnFailure(t *testing.T) {
	var r recorder
	boom := errors.New("boom")
	p := Plan{Title: "t", Steps: []Step{r.step("a", nil), r.step("b", nil), r.step("c", boom), r.step("d", nil)}}
	err := p.Run(context.Background(), nil)
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want boom", err)
	}
	var se *StepError
	if !errors.As(err, &se) || se.Step != "c" || se.Rollback != nil {
		t.Fatalf("got %#v, want a StepError of c without rollback errors", err)
	}
	want := "do a,do b,do c,undo c,undo b,undo a"
	if got := strings.Join(r.log, ","); got != want {
		t.Errorf("order: got %s, want %s", got, want)
	}
}

func TestRunStopsWhenCancelledAndStillUndoes(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var r recorder
	first := r.step("a", nil)
	do := first.Do
	first.Do = func(ctx context.Context) error { cancel(); return do(ctx) }
	err := Plan{Steps: []Step{first, r.step("b", nil)}}.Run(ctx, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	var se *StepError
	if errors.As(err, &se); se.Rollback != nil {
		t.Errorf("undo saw the cancellation: %v", se.Rollback)
	}
	if got := strings.Join(r.log, ","); got != "do a,undo b,undo a" {
		t.Errorf("got %s", got)
	}
}

func TestRunAllGoesOnAndJoins(t *testing.T) {
	var r recorder
	e1, e2 := errors.New("one"), errors.New("two")
	err := Plan{Steps: []Step{r.step("a", e1), r.step("b", nil), r.step("c", e2)}}.RunAll(context.Background(), nil)
	if !errors.Is(err, e1) || !errors.Is(err, e2) {
		t.Fatalf("got %v, want both errors", err)
	}
	if got := strings.Join(r.log, ","); got != "do a,do b,do c" {
		t.Errorf("got %s", got)
	}
}

func TestRollbackErrorsAreKeptBesideTheFirst(t *testing.T) {
	var r recorder
	bad := r.step("a", nil)
	bad.Undo = func(context.Context) error { return errors.New("stuck") }
	err := Plan{Steps: []Step{bad, r.step("b", errors.New("boom"))}}.Run(context.Background(), nil)
	if got := err.Error(); !strings.HasPrefix(got, "b: boom") || !strings.Contains(got, "undo a: stuck") {
		t.Errorf("got %q", got)
	}
}

func TestScript(t *testing.T) {
	p := Plan{Title: "two steps", Steps: []Step{
		{Name: "make it", Why: "Because.", Cmds: []string{"ip link add x type bridge", "ip link set x up"}},
		{Name: "say so"},
	}}
	var b strings.Builder
	if err := p.Script(&b); err != nil {
		t.Fatal(err)
	}
	want := "# two steps\n\n# 1. make it\n#    Because.\nip link add x type bridge\nip link set x up\n\n# 2. say so\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestExplainerPrintsNameReasonAndCommand(t *testing.T) {
	var b strings.Builder
	p := Plan{Title: "T", Steps: []Step{{Name: "make it", Why: "Because.", Cmds: []string{"ip link"}}}}
	if err := p.Run(context.Background(), Explainer(&b)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"== T\n", "[1/1] make it  (", "      Because.\n", "      $ ip link\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain-1.2/3": "plain-1.2/3", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "!": "'!'", "$x": "'$x'",
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func ExamplePlan_Script() {
	p := Plan{Title: "one bridge"}
	p.Add(Step{Name: "create bridge", Why: "It joins the veth ends.", Cmds: []string{Command("ip", "link", "add", "mini0", "type", "bridge")}})
	var b strings.Builder
	if err := p.Script(&b); err != nil {
		fmt.Println(err)
	}
	fmt.Print(b.String())
	// Output:
	// # one bridge
	//
	// # 1. create bridge
	// #    It joins the veth ends.
	// ip link add mini0 type bridge
}
