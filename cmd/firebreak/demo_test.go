package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/demo/demotest"
)

func demoArgs(data string, more ...string) []string {
	return append([]string{"demo", "--empty", "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data}, more...)
}

// demo.json is for its owner alone, has what scripts are promised, and stays
// true over a restart.
func TestDemoFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, demoArgs(data, "--now", "2031-05-06T07:08:09Z")...)
	info, ready := p.Info(t, data)
	if !ready {
		t.Fatal(p.Stderr.String())
	}
	path := filepath.Join(data, "demo.json")
	for name, mode := range map[string]os.FileMode{path: 0o600, data: 0o700} {
		if stat, err := os.Stat(name); err != nil || stat.Mode().Perm() != mode {
			t.Errorf("%s: %v, want mode %04o", name, stat.Mode(), mode)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"base", "fhir", "mllp", "issuer"} {
		if s, _ := file[key].(string); s == "" {
			t.Errorf("demo.json has no %q", key)
		}
	}
	if info.FHIR != info.Base+"/fhir" || !strings.HasPrefix(info.Base, "http://127.0.0.1:") {
		t.Errorf("base %s, fhir %s", info.Base, info.FHIR)
	}
	var roles []string
	for _, person := range file["people"].([]any) {
		p := person.(map[string]any)
		for _, key := range []string{"username", "password", "name", "role", "worksite"} {
			if s, _ := p[key].(string); s == "" {
				t.Errorf("%v has no %q", p["username"], key)
			}
		}
		roles = append(roles, p["role"].(string))
	}
	for _, role := range []string{"physician", "pharmacist", "assistant", "privacy-officer", "operator"} {
		if !slices.Contains(roles, role) {
			t.Errorf("nobody is %s", role)
		}
	}
	backend := false
	for _, client := range file["clients"].([]any) {
		c := client.(map[string]any)
		for _, key := range []string{"id", "grants", "scope", "redirectUris"} {
			if _, ok := c[key]; !ok {
				t.Errorf("client %v has no %q", c["id"], key)
			}
		}
		if c["id"] != "demo-backend" {
			continue
		}
		backend = true
		key, _ := c["privateJwk"].(map[string]any)
		if c["secret"] == "" || key["d"] == nil || c["scope"] != "system/*.cruds" || !slices.Contains(c["grants"].([]any), any("client_credentials")) {
			t.Errorf("demo-backend is %v", c)
		}
	}
	if !backend {
		t.Error("there is no demo-backend")
	}

	// The clock began where --now said.
	conn, err := net.Dial("tcp", info.MLLP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	expect(t, 0, "AA 1  AE 0  AR 0  unanswered 0", "", "send", "--to", info.MLLP, write(t, filepath.Join(t.TempDir(), "m.hl7"), heldMessage))
	app, err := demotest.Backend(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	p.Poll(t, "the patient", func() bool {
		found, _, err := app.Search(t.Context(), "/Patient?identifier=1001")
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 && !strings.HasPrefix(found[0].Value["meta"].(map[string]any)["lastUpdated"].(string), "2031-05-06T07:") {
			t.Errorf("it was received at %v", found[0].Value["meta"])
		}
		return len(found) == 1
	})
	out := p.Stdout.String()
	for _, said := range []string{info.Base, info.FHIR, info.MLLP, "physician", "demo.json"} {
		if !strings.Contains(out, said) {
			t.Errorf("at the end it does not print %q", said)
		}
	}

	// A second one on the same data is refused, and the first not troubled.
	expect(t, 1, "", "another one runs on "+data, demoArgs(data)...)
	if now, err := os.ReadFile(path); err != nil || string(now) != string(b) {
		t.Error("the second demo changed demo.json")
	}
	if answer, err := app.Get(t.Context(), "/Patient?identifier=1001"); err != nil || answer.Status != 200 {
		t.Errorf("the first demo is troubled: %v", err)
	}
	// So is one on an address that is taken, by its name.
	listen, mllp := strings.TrimPrefix(info.Base, "http://"), info.MLLP
	other := filepath.Join(t.TempDir(), "other")
	expect(t, 1, "", "listen tcp "+listen+": bind: address already in use", "demo", "--empty", "--listen", listen, "--mllp", "127.0.0.1:0", "--data", other)
	expect(t, 1, "", "feed general-hospital: listen tcp "+mllp+": bind: address already in use", "demo", "--empty", "--listen", "127.0.0.1:0", "--mllp", mllp, "--data", other)

	if code := p.Terminate(); code != 0 {
		t.Errorf("asked to stop it ended with %d: %s", code, p.Stderr.String())
	}
	if p.Stderr.String() != "" {
		t.Errorf("it complained: %s", p.Stderr.String())
	}

	os.Remove(path)
	again := launch(t, demoArgs(data)...)
	now, ready := again.Info(t, data)
	if !ready {
		t.Fatal(again.Stderr.String())
	}
	if now.People[0].Password != info.People[0].Password || now.Clients[0].Secret != info.Clients[0].Secret {
		t.Error("a restart made other passwords or secrets")
	}
	again.Terminate()
}

// The demo's own configuration file may be part of one, and no key is unknown.
func TestDemoConfiguration(t *testing.T) {
	dir := t.TempDir()
	config := func(text string) string { return write(t, filepath.Join(dir, "c.json"), text) }
	expect(t, 1, "", `line 2: there is no key "colour"`, demoArgs(filepath.Join(dir, "d"), "--config", config("{\n\"colour\": 1}"))...)
	expect(t, 1, "", "absent", demoArgs(filepath.Join(dir, "d"), "--config", filepath.Join(dir, "absent"))...)
	write(t, filepath.Join(dir, "policy.json"), `{"audiences": 7}`)
	expect(t, 1, "", "policy", demoArgs(filepath.Join(dir, "d"), "--config", config(`{"policy": "policy.json"}`))...)

	data := filepath.Join(dir, "data")
	p := launch(t, demoArgs(data, "--config", config(`{"session": {"idle": "5s"}, "helpLine": "604-555-0199", "feeds": [{"name": "coast", "listen": "127.0.0.1:1", "facilities": ["COAST"]}]}`))...)
	info, ready := p.Info(t, data)
	if !ready {
		t.Fatal(p.Stderr.String())
	}
	// The feed is the file's, at the demo's address: it refuses other facilities.
	expect(t, 1, "AA 0  AE 0  AR 1  unanswered 0", "MSH-4: ", "send", "--to", info.MLLP, write(t, filepath.Join(dir, "m.hl7"), heldMessage))
	expect(t, 0, "AA 1", "", "send", "--to", info.MLLP, write(t, filepath.Join(dir, "m.hl7"), strings.Replace(heldMessage, "GENERAL", "COAST", 1)))
	p.Terminate()
}
