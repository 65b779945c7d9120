package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

// firebreak runs a command in this process.
func firebreak(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, complaint bytes.Buffer
	status = run(t.Context(), &env{strings.NewReader(""), &out, &complaint}, args)
	return out.String(), complaint.String(), status
}

// expect runs a command and holds what it says against substrings.
func expect(t testing.TB, status int, stdout, stderr string, args ...string) string {
	t.Helper()
	out, complaint, code := firebreak(t, args...)
	if code != status || !strings.Contains(out, stdout) || !strings.Contains(complaint, stderr) || stderr == "" && complaint != "" {
		t.Errorf("firebreak %s: status %d, want %d\nstdout: %s(want %q)\nstderr: %s(want %q)", strings.Join(args, " "), code, status, out, stdout, complaint, stderr)
	}
	return out
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const heldMessage = "MSH|^~\\&|LAB|GENERAL|||20260301120000||ADT^A08|M1|P|2.5.1\rEVN|A08|20260301120000\rPID|1||1001^^^HERE^MR||Roe^Jane||19700101|F\rPV1|1|N\r"

func feedConfig(authority string) string {
	return fmt.Sprintf(`{"feeds": [{"name": "general-hospital", "listen": "127.0.0.1:0", "authority": %q}]}`, authority)
}

// serveConfig is a whole configuration of the same feeds on the same data.
func serveConfig(t testing.TB, dir, data, authority string) string {
	write(t, filepath.Join(dir, "registry.json"), `{"worksites": [], "people": []}`)
	return write(t, filepath.Join(dir, "serve.json"), fmt.Sprintf(`{
		"listen": "127.0.0.1:0", "base": "http://127.0.0.1:1", "metrics": "off", "data": %q, "registry": "registry.json",
		"signIn": {"issuer": "http://127.0.0.1:1/idp", "clientId": "firebreak"},
		"feeds": [{"name": "general-hospital", "listen": "127.0.0.1:0", "authority": %q}]}`, data, authority))
}

// A message is held because the feed's authority is declared wrongly. It is
// listed, looked at, and after the declaration is mended applied: beside the
// running gateway, and the same without one.
func TestHeldMessageIsMended(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := write(t, filepath.Join(dir, "demo.json"), feedConfig("THERE"))
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: config})
	d.Send(t, 1, []byte(heldMessage))

	const reason = "general-hospital  mapping: PID-3 in segment 3: no patient identifier of a declared assigning authority"
	expect(t, 0, reason, "", "held", "--data", data)
	if got := expect(t, 0, "", "", "held", "--data", data, "1"); got != heldMessage {
		t.Errorf("held prints %q", got)
	}
	expect(t, 1, "", "there is no message of that number", "held", "--data", data, "17")
	expect(t, 1, "", "there is no message of that number", "replay", "--data", data, "1", "17")
	expect(t, 1, "0 applied, 1 held\n", "", "replay", "--data", data, "--held")
	expect(t, 1, "held     1  mapping: PID-3 in segment 3", "", "replay", "--data", data, "1")

	// Set aside, it is neither listed nor applied until it is taken back.
	expect(t, 2, "", "aside takes the messages' numbers, and --reason", "held", "aside", "--data", data, "1")
	expect(t, 1, "", "one of these messages is not set aside; nothing was changed", "held", "back", "--data", data, "1")
	expect(t, 0, "", "", "held", "aside", "--reason", "a test of the sender", "--data", data, "1")
	expect(t, 1, "", "one of these messages is not held; nothing was changed", "held", "aside", "--reason", "again", "--data", data, "1")
	if out, _, _ := firebreak(t, "held", "--data", data); out != "" {
		t.Errorf("set aside, it is listed: %s", out)
	}
	expect(t, 0, "a test of the sender  (mapping: PID-3 in segment 3", "", "held", "--aside", "--data", data)
	expect(t, 0, "0 applied, 0 held\n", "", "replay", "--data", data, "--held")
	expect(t, 1, "held     1  it is set aside: take it back first", "", "replay", "--data", data, "1")
	expect(t, 0, "", "", "held", "back", "--data", data, "1")

	// Whoever mends the file and forgets the gateway is told.
	expect(t, 1, "", "restart it first", "replay", "--config", serveConfig(t, dir, data, "HERE"), "--held")
	// With the gateway's own file it is the same as without.
	expect(t, 1, "0 applied, 1 held\n", "", "replay", "--config", serveConfig(t, dir, data, "THERE"), "--held")
	d.Stop()

	// Without a gateway.
	expect(t, 1, "", "none is running", "replay", "--data", data, "--held")
	expect(t, 0, reason, "", "held", "--config", serveConfig(t, dir, data, "THERE"))
	expect(t, 1, "0 applied, 1 held\n", "", "replay", "--config", serveConfig(t, dir, data, "THERE"), "--held")

	// With one that was started with the mended file.
	write(t, config, feedConfig("HERE"))
	d = demotest.Start(t, demo.Options{Empty: true, Data: data, Config: config})
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	patients := func() int {
		found, _, err := app.Search(t.Context(), "/Patient?identifier=1001")
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := patients(); n != 0 {
		t.Errorf("before the replay %d patients are there", n)
	}
	expect(t, 0, "1 applied, 0 held\n", "", "replay", "--config", serveConfig(t, dir, data, "HERE"), "--held")
	if n := patients(); n != 1 {
		t.Errorf("after the replay %d patients are there", n)
	}
	expect(t, 0, "0 applied, 0 held\n", "", "replay", "--data", data, "--held")
	expect(t, 0, "1 applied, 0 held\n", "", "replay", "--data", data, "1") // once more changes nothing
	if out, _, _ := firebreak(t, "held", "--data", data); out != "" {
		t.Errorf("still held: %s", out)
	}
	app.Close()
	d.Stop()

	// Without a gateway what was applied can be applied again too.
	expect(t, 0, "1 applied, 0 held\n", "", "replay", "--config", serveConfig(t, dir, data, "HERE"), "1")
	expect(t, 0, "the chain holds", "", "audit", "verify", filepath.Join(data, "audit"))
	log := auditText(t, data)
	for entry, n := range map[string]int{"replay of all held messages": 6, "replay of messages [1]": 4, "look at message 1\"": 1, "list of held messages": 4, "messages [1] set aside: a test of the sender": 1, "messages [1] taken back": 2} {
		if got := strings.Count(log, entry); got != n {
			t.Errorf("the audit log has %d of %q, want %d", got, entry, n)
		}
	}
	if left, err := filepath.Glob(filepath.Join(data, "*.sock")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func auditText(t testing.TB, data string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "audit", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// The system's limit for the path of a socket is no limit for the data folder.
func TestOperatorReachesADeepFolder(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("deep", 20), strings.Repeat("deeper", 20))
	d := demotest.Start(t, demo.Options{Empty: true, Data: data})
	d.Send(t, 1, []byte(heldMessage))
	expect(t, 0, "1 applied, 0 held\n", "", "replay", "--data", data, "1")
	if info, err := os.Stat(filepath.Join(data, "control.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
}

// One process has a data folder.
func TestReplayWithoutSocketBesideAGateway(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	demotest.Start(t, demo.Options{Empty: true, Data: data})
	if err := os.Remove(filepath.Join(data, "control.sock")); err != nil {
		t.Fatal(err)
	}
	expect(t, 1, "", "another process writes to "+filepath.Join(data, "audit"), "replay", "--config", serveConfig(t, dir, data, ""), "--held")
}
