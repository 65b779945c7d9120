package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/policy"
)

const twoResults = "MSH|^~\\&|LAB|GENERAL|||20260301120000||ORU^R01|M1|P|2.5.1\rPID|1||1001^^^HERE^MR||Roe^Jane||19700101|F\r" +
	"OBR|1||F1|24321-2^Basic metabolic panel^LN|||20260301110000|||||||||||||||20260301120000||LAB|F\rOBX|1|NM|2951-2^Sodium^LN||140|mmol/L|||||F\r" +
	"OBR|2||F2|75622-1^HIV 1 and 2 tests - Meaningful Use set^LN|||20260301110000|||||||||||||||20260301120000||LAB|F\rOBX|1|ST|75622-1^HIV 1 and 2 tests^LN||Reactive||||||F\r"

// A policy is tried, loaded beside the running gateway, refused when it is
// wrong, and loaded again at a signal; what is asked next is answered by it.
func TestPolicyIsLoadedAnew(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "policy.json")
	strict := string(policy.Demo())
	loose := strings.ReplaceAll(strict, `"withhold": ["hiv", `, `"withhold": [`)
	write(t, file, strict)
	config := write(t, filepath.Join(dir, "demo.json"), strings.Replace(feedConfig("HERE"), "{", `{"policy": "policy.json", `, 1))
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: config})
	d.Send(t, 1, []byte(twoResults))
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	seen := func(want int, when string) {
		t.Helper()
		for range 2 { // the second is answered by what the first left in memory
			if found, total, err := app.Search(t.Context(), "/Observation?_total=accurate"); err != nil || len(found) != want || total != want {
				t.Errorf("%s: %d results, total %d, %v; want %d", when, len(found), total, err, want)
			}
		}
	}
	seen(1, "at first")

	patient := "1001"
	expect(t, 0, "a label is withheld; hiv by ", "", "policy", "try", "--as", "provider", "--patient", patient, "--data", data)
	expect(t, 0, "kept      Observation/", "", "policy", "try", "--as", "backend", "--patient", patient, "--data", data)
	expect(t, 1, "", "knows no audience", "policy", "try", "--as", "neighbour", "--patient", patient, "--data", data)
	expect(t, 1, "", "no patient of that id or number", "policy", "try", "--as", "provider", "--patient", "1002", "--data", data)
	tried := write(t, filepath.Join(dir, "tried.json"), loose)
	out := expect(t, 0, "", "", "policy", "try", "--as", "backend", "--patient", patient, "--data", data, "--policy", tried)
	if strings.Contains(out, "a label is withheld") {
		t.Errorf("the policy that was tried is not the one that was given:\n%s", out)
	}
	seen(1, "after another policy was tried")

	write(t, file, strings.Replace(loose, `"roles": {}`, `"rolls": {}`, 1))
	expect(t, 1, "", "policy: line 30: unknown key /audiences/provider/rolls", "policy", "check", file)
	expect(t, 1, "", "policy: line 30: unknown key /audiences/provider/rolls", "policy", "load", "--data", data)
	seen(1, "after a file that is wrong")

	write(t, file, loose)
	expect(t, 0, "ok, version p", "", "policy", "check", file)
	expect(t, 0, "takes the place of p", "", "policy", "load", "--data", data)
	seen(2, "after a policy that withholds less")

	expect(t, 0, "", "", "policy", "unread", "--data", data)
	expect(t, 0, "", "", "policy", "overdue", "--data", data)
	write(t, file, strict)
	signals, log := make(chan os.Signal), slog.New(slog.DiscardHandler)
	go reload(t.Context(), d.Gateway, signals, log)
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP // taken when the first is done
	seen(1, "after the signal")

	old, now := versionOf(t, strict), versionOf(t, loose)
	app.Close()
	d.Stop()
	expect(t, 1, "", "none is running", "policy", "load", "--data", data)
	expect(t, 0, "5 kept, 2 withheld", "", "policy", "try", "--as", "provider", "--patient", patient, "--config", serveConfig(t, dir, data, "HERE"))
	text := auditText(t, data)
	for _, entry := range []string{
		`"detail":"policy ` + now + ` takes the place of ` + old, `"subject":"signal HUP","detail":"policy ` + old + ` takes the place of ` + now,
		`"refused":true,"subject":"operator `, `tried as provider physician`,
	} {
		if !strings.Contains(text, entry) {
			t.Errorf("the audit log has no %s", entry)
		}
	}
}

func versionOf(t testing.TB, text string) string {
	t.Helper()
	p, err := policy.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p.Version()
}
