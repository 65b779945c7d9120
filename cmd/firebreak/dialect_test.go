package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

// A dialect is loaded beside the running gateway, of all feeds or of none, and again at a
// signal: what comes next is read by it, also what message after message repeats.
func TestDialectsAreLoadedAnew(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	const was = "dialect pas\n"
	const is = was + "PID-8 = M\n"
	write(t, filepath.Join(dir, "pas.txt"), was)
	write(t, filepath.Join(dir, "lab.txt"), "dialect lab\n")
	config := `{"feeds": [{"name": "general-hospital", "listen": "127.0.0.1:0", "authority": "GENERAL", "dialect": %q}, {"name": "lab", "listen": "127.0.0.1:0", "dialect": "lab.txt"}]}`
	file := write(t, filepath.Join(dir, "demo.json"), fmt.Sprintf(config, "pas.txt"))
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: file})
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	n := 0
	sex := func(want, when string) {
		t.Helper()
		n++
		d.Send(t, n, fmt.Appendf(nil, "MSH|^~\\&|PAS|GENERAL|||2026030112000%d||ADT^A31|M%d|P|2.5.1\rPID|1||1001^^^GENERAL^MR||Roe^Jane||19700101|F\r", n, n))
		if found, total, err := app.Search(t.Context(), "/Patient?gender="+want+"&_total=accurate"); err != nil || len(found) != 1 || total != 1 {
			t.Errorf("%s: %d patients are %s: %v", when, len(found), want, err)
		}
	}
	sex("female", "at first")
	expect(t, 0, "no dialect has changed", "", "feeds", "load", "--data", data)
	other := serveConfig(t, dir, data, "GENERAL")
	expect(t, 1, "", "other files of dialects", "feeds", "load", "--config", other)
	write(t, filepath.Join(dir, "pas.txt"), is)
	write(t, filepath.Join(dir, "lab.txt"), "dialect lab\nPV1.10 = X\n")
	expect(t, 1, "", "feed lab: lab.txt line 2: \"PV1.10\" is not a path", "feeds", "load", "--data", data)
	sex("female", "after a file that is wrong")
	write(t, filepath.Join(dir, "lab.txt"), "dialect lab\n")
	expect(t, 0, "feed general-hospital: urn:firebreak:dialect:pas:", "", "feeds", "load", "--data", data)
	sex("male", "after a load")
	expect(t, 0, "", "", "replay", "--data", data, "--feed", "general-hospital", "--stored", "10")
	write(t, filepath.Join(dir, "pas.txt"), was)
	signals, log := make(chan os.Signal), slog.New(slog.DiscardHandler)
	go reload(t.Context(), d.Gateway, signals, log)
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP // taken when the first is done
	sex("female", "after the signal")
	app.Close()
	d.Stop()
	expect(t, 1, "", "none is running", "feeds", "load", "--data", data)
	text := auditText(t, data)
	for _, entry := range []string{`"detail":"load of the feeds' dialects, feed general-hospital: urn:firebreak:dialect:pas:`, `"refused":true,"subject":"operator `, `"subject":"signal HUP","detail":"load of the feeds' dialects, feed general-hospital`} {
		if !strings.Contains(text, entry) {
			t.Errorf("the audit log has no %s", entry)
		}
	}
}

// A dialect is tried on stored messages before it goes live: the difference is
// shown, masked unless a reason is said; nothing changes until the gateway is
// restarted with it, and what came before until it is replayed.
func TestADialectIsTriedAndApplied(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	const was = "dialect pas\nZZ1-1 -> Encounter.extension(https://pas.example.org/note).valueString\n"
	const is = was + "PV1-10 from ZZ1-2\n"
	write(t, filepath.Join(dir, "pas.txt"), was)
	changed := write(t, filepath.Join(dir, "new.txt"), is)
	broken := write(t, filepath.Join(dir, "broken.txt"), was+"PV1.10 from ZZ1-2\n")
	feeds := `"feeds": [{"name": "general-hospital", "listen": "127.0.0.1:0", "authority": "GENERAL", "dialect": "pas.txt"}]`
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: write(t, filepath.Join(dir, "demo.json"), "{"+feeds+"}")})
	write(t, filepath.Join(dir, "registry.json"), `{"worksites": [], "people": []}`)
	config := write(t, filepath.Join(dir, "serve.json"), fmt.Sprintf(`{"listen": "127.0.0.1:0", "base": "http://127.0.0.1:1", "metrics": "off", "data": %q, "registry": "registry.json",
		"signIn": {"issuer": "http://127.0.0.1:1/idp", "clientId": "firebreak"}, %s}`, data, feeds))
	admission := func(n int, z string) []byte {
		return fmt.Appendf(nil, "MSH|^~\\&|PAS|GENERAL|||2026030112000%d||ADT^A01|M%d|P|2.5.1\rPID|1||100%d^^^GENERAL^MR||Roe^Jane||19700101|F\rPV1|1|I|||||||||||||||||V%d^^^GENERAL\r%s\r", n, n, n, n, z)
	}
	d.Send(t, 2, admission(1, "ZZ1|fell|Orthopaedics|extra"), admission(2, "ZZ1|cut"))

	try := func(more ...string) []string {
		return append([]string{"map", "--feed", "general-hospital", "--stored", "10"}, more...)
	}
	masked := expect(t, 0, "nothing -> \"xxxxxxxxxxxx\"\n2 messages: 1 the same, 1 otherwise\n", "", try("--data", data, "--dialect", changed)...)
	if strings.Contains(masked, "Ortho") {
		t.Error("a trial shows what nobody gave a reason for")
	}
	expect(t, 0, `nothing -> "Orthopaedics"`, "", try("--data", data, "--dialect", changed, "--clear", "fault")...)
	expect(t, 1, "", "values are shown in clear for one of", try("--data", data, "--dialect", changed, "--clear", "curiosity")...)
	expect(t, 1, "", "broken.txt line 3: \"PV1.10\" is not a path", try("--data", data, "--dialect", broken)...)
	expect(t, 1, "", `there is no feed "pas"`, "map", "--feed", "pas", "--stored", "1", "--data", data)
	expect(t, 0, "2 messages: 2 the same, 0 otherwise\n", "", try("--config", config)...)
	expect(t, 0, "ZZ1-2\tnot read in 1 of 2 messages\n", "", try("--data", data, "--unmapped")...)

	// The file is changed: what runs is told apart from it, and not replayed by it.
	write(t, filepath.Join(dir, "pas.txt"), is)
	expect(t, 0, "2 messages: 1 the same, 1 otherwise\n", "", try("--config", config)...)
	expect(t, 1, "", "load them or restart it first", "replay", "--config", config, "--feed", "general-hospital", "--stored", "10")
	d.Stop()

	expect(t, 0, "2 messages: 2 the same, 0 otherwise\n", "", try("--config", config)...)
	expect(t, 0, "2 applied, 0 held\n", "", "replay", "--config", config, "--feed", "general-hospital", "--stored", "10")
	expect(t, 1, "", `there is no feed "pas"`, "replay", "--config", config, "--feed", "pas", "--stored", "10")

	// A file by itself, as the feed is read.
	file := write(t, filepath.Join(dir, "m.hl7"), string(admission(3, "ZZ1|fell|Orthopaedics|extra")))
	expect(t, 0, "ZZ1-2\tEncounter.serviceType.coding.code\n", "", "map", "--config", config, "--feed", "general-hospital", "--explain", file)
	expect(t, 0, "ZZ1-3\tnot read in 1 of 1 messages\n", "", "map", "--config", config, "--feed", "general-hospital", "--unmapped", file)
	expect(t, 0, `"valueString":"fell"`, "", "map", "--dialect", changed, file)
	for _, wrong := range [][]string{{"map", "--stored", "3"}, {"map", "--feed", "x", file}, {"map", "--explain", "--unmapped", file}, {"map", "--clear", "fault", file}, {"replay", "--config", config, "--feed", "x"}} {
		if _, _, status := firebreak(t, wrong...); status != 2 {
			t.Errorf("firebreak %v: status %d, want the usage", wrong, status)
		}
	}
}
