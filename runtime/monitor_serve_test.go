package runtime

import (
	"strings"
	"testing"

	"github.com/minirt/mini/runtime/wire"
)

// TestUnknownOperation: a command of a newer version learns what to do.
func TestUnknownOperation(t *testing.T) {
	m := &monitor{req: startRequest{ID: testID}}
	err := m.dispatch(nil, wire.Request{Op: "fly"})
	if err == nil || !strings.Contains(err.Error(), `"fly"`) || !strings.Contains(err.Error(), "restart the container") {
		t.Errorf("got %v", err)
	}
}
