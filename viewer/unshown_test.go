package viewer

import (
	"strings"
	"testing"

	"firebreak/policy"
)

// TestUnshown: where patients can come in, a provider sees which results the
// patient still waits for; where they cannot, nothing is said.
func TestUnshown(t *testing.T) {
	h := newHouse(t, ayan(t))
	const mark = "not yet shown to the patient"
	if page := h.get(h.base(0) + "/results"); strings.Contains(page, mark) {
		t.Error("said of a patient who has no way in")
	}
	open, err := policy.Load([]byte(strings.Replace(string(policy.Demo()), `"enabled": false,
      "withhold": ["hiv"`, `"withhold": ["hiv"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	h = newHouse(t, ayan(t))
	h.reader.policy = open
	if page := h.get(h.base(0) + "/results"); !strings.Contains(page, mark) {
		t.Error("results that nobody reviewed are not marked")
	}
}
