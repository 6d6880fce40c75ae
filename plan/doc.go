// Package plan holds what mini does to the kernel as a list of steps that can
// be read before it is run.
//
// A [Plan] is an ordered list of [Step] values. Each step says what it does,
// why, and with which shell commands a person would do the same. A pure
// function elsewhere builds the plan; this package runs it, rolls it back when
// a step fails, or prints it:
//
//	build ──► Plan ──┬── Run       do every step; on failure undo in reverse
//	                 ├── RunAll    teardown: do every step, join the errors
//	                 ├── Script    a shell script with the same effect
//	                 └── Explainer an observer that prints steps as they happen
//
// One list serves all four, so an explanation cannot drift from what is done.
//
// The package is a leaf: it knows nothing of networks or containers. It is not
// a workflow engine: steps run one after another, in one goroutine.
package plan
