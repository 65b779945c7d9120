package main

import (
	"path/filepath"
	"strings"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

// An analyst sees every feed in a line, pauses one, and has it go on: beside the
// running gateway and without one. The sender is answered AA all the while.
func TestFeedsAreListedPausedAndResumed(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := write(t, filepath.Join(dir, "demo.json"), feedConfig("HERE"))
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: config})
	row := func(args ...string) []string {
		t.Helper()
		out := expect(t, 0, "feed ", "", append([]string{"feeds"}, args...)...)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "general-hospital ") {
				return strings.Fields(line)
			}
		}
		t.Fatalf("the feed is not listed:\n%s", out)
		return nil
	}
	if got := strings.Join(row("--data", data), " "); got != "general-hospital open never 0 0 0 - 0 0 0 - - - -" {
		t.Errorf("before the first message: %s", got)
	}
	d.Send(t, 1, []byte(heldMessage))
	if got := row("--data", data); got[3] != "1" || got[5] != "0" || !strings.HasSuffix(got[10], "s") || !strings.HasSuffix(got[11], "s") {
		t.Errorf("after one: %s", got)
	}
	expect(t, 0, "", "", "feeds", "pause", "--data", data, "general-hospital")
	d.Send(t, 1, []byte(strings.Replace(heldMessage, "|M1|", "|M2|", 1)))
	if got := strings.Join(row("--data", data), " "); !strings.Contains(got, "general-hospital paused since ") || !strings.Contains(got, " by operator ") {
		t.Errorf("paused: %s", got)
	}
	expect(t, 1, "2  its feed is paused", "", "replay", "--data", data, "2")
	expect(t, 1, "", `there is no feed "elsewhere"`, "feeds", "pause", "--data", data, "elsewhere")
	expect(t, 2, "", "takes no name", "feeds", "--data", data, "general-hospital")
	d.Stop()

	serve := serveConfig(t, dir, data, "HERE")
	if got := row("--config", serve); got[1] != "paused" {
		t.Errorf("after the gateway ended: %s", got)
	}
	expect(t, 0, "", "", "feeds", "resume", "--config", serve, "general-hospital")
	expect(t, 0, "1 applied, 0 held", "", "replay", "--config", serve, "2")
	if got := strings.Join(row("--config", serve), " "); !strings.Contains(got, "general-hospital open ") || !strings.Contains(got, " 2 2 0 - 0 ") {
		t.Errorf("resumed: %s", got)
	}
}
