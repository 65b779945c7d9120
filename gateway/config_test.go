package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/label"
	"firebreak/registry"
)

const goodConfig = `{
  "listen": "127.0.0.1:8080",
  "base": "https://gateway.example.org",
  "data": "data",
  "signIn": {"issuer": "https://login.example.org", "clientId": "firebreak", "clientSecret": {"file": "secret.txt"}},
  "registry": "registry.json",
  "feeds": [{"name": "general", "listen": "127.0.0.1:2575", "zone": "America/Vancouver"}]
}`

func readText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{"c.json": text, "secret.txt": "open sesame\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ReadConfig(filepath.Join(dir, "c.json"))
}

func TestConfigFillsDefaults(t *testing.T) {
	cfg, err := readText(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SignIn.ClientSecret.Value != "open sesame" {
		t.Error("the secret was not read from its file")
	}
	for what, ok := range map[string]bool{
		"metrics on loopback":         cfg.Metrics == "127.0.0.1:9464",
		"database in data":            strings.HasSuffix(cfg.Database.Value, filepath.Join("data", "record.db")),
		"audience is the FHIR base":   cfg.Tokens.Audience == "https://gateway.example.org/fhir",
		"display is the feed's name":  cfg.Feeds[0].Display == "general",
		"15 minutes idle":             cfg.Session.Idle == Duration(15*60*1e9),
		"paths beside the file":       filepath.IsAbs(cfg.Registry),
		"a secret prints as a secret": cfg.SignIn.ClientSecret.String() == "(secret)",
	} {
		if !ok {
			t.Errorf("not true: %s", what)
		}
	}
}

// An operator's value sets are found beside the file that names them, and read.
func TestConfigTerminology(t *testing.T) {
	cfg, err := readText(t, strings.Replace(goodConfig, `"data": "data",`, `"data": "data", "terminology": ["sets"],`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.codes(); err == nil || !strings.Contains(err.Error(), "sets") {
		t.Errorf("a folder that is not there: %v", err)
	}
	sets := filepath.Join(cfg.folder, "sets")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(sets, 0o700), os.WriteFile(filepath.Join(sets, "renal.json"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"resourceType":"ValueSet","id":"renal","url":"https://x.test/renal","status":"active","compose":{"include":[{"system":"http://loinc.org"}]}}`)
	if _, err := cfg.codes(); err == nil || !strings.Contains(err.Error(), "renal.json: The value set https://x.test/renal cannot be expanded. The codes of http://loinc.org are not known here.") {
		t.Errorf("what cannot be expanded: %v", err)
	}
	write(`{"resourceType":"ValueSet","id":"renal","url":"https://x.test/renal","status":"active","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"2160-0"}]}]}}`)
	codes, err := cfg.codes()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := codes.Set("https://x.test/renal"); err != nil || !s.Has("http://loinc.org", "2160-0") {
		t.Errorf("%v", err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown key, with its line", `"data": "data",`, `"data": "data", "verbose": true,`, `line 4: there is no key "verbose"`},
		{"an unknown key in a feed", `"zone"`, `"timezone"`, `line 7: there is no key "timezone"`},
		{"a wrong kind", `"data": "data"`, `"data": 7`, "line 4"},
		{"a label that nobody gives", `"feeds"`, `"declared": {"general": ["secret"]}, "feeds"`, `declared.general: there is no label "secret"`},
		{"a purge at once", `"feeds"`, `"purge": {"general": "1h"}, "feeds"`, `purge.general must be at least 24h`},
		{"an app for nobody", `"feeds"`, `"apps": [{"id": "a", "name": "A", "launch": "https://a.test/", "roles": ["doctor"], "redirects": ["https://a.test/"], "scopes": "user/*.rs"}], "feeds"`, `apps[0].roles: "doctor" opens no chart`},
		{"broken JSON", `"data": "data",`, `"data": "data"`, "line 5"},
		{"one key twice", `"data": "data",`, `"data": "data", "data": "x",`, "line 4"},
		{"http to the outside", "https://gateway", "http://gateway", "https"},
		{"a base with a path", "gateway.example.org", "gateway.example.org/x", "base must be"},
		{"an open listener without TLS", "127.0.0.1:8080", "0.0.0.0:8080", "needs tls"},
		{"an open feed without TLS", "127.0.0.1:2575", ":2575", "needs tls"},
		{"metrics for everyone", `"data": "data",`, `"data": "data", "metrics": "0.0.0.0:9464",`, "metrics must be"},
		{"a dialect that is not there", `"zone"`, `"dialect": "absent.txt", "zone"`, "feeds[0].dialect: open"},
		{"a dialect that is none", `"zone"`, `"dialect": "secret.txt", "zone"`, "feeds[0].dialect: secret.txt line 1: a dialect begins with"},
		{"a zone that is none", "America/Vancouver", "Vancouver", "not a time zone"},
		{"a missing secret file", "secret.txt", "absent.txt", "signIn.clientSecret"},
		{"no issuer", `"issuer": "https://login.example.org", `, "", "signIn.issuer is missing"},
		{"a feed without a name", `"name": "general", `, "", "feeds[0].name"},
		{"a secret in the open", `{"file": "secret.txt"}`, `"open sesame"`, "signIn.clientSecret may not stand here"},
		{"a key in the open", `"data": "data",`, `"data": "data", "key": "0123456789012345678901234567890123456789",`, "key may not stand here"},
		{"a database's password in the open", `"data": "data",`, `"data": "data", "database": "postgres://me:hush@db/x",`, "database may not stand here"},
		{"a password among the settings", `"data": "data",`, `"data": "data", "accounts": "postgres://me@db/x?password=hush",`, "accounts may not stand here"},
		{"a short key", `"data": "data",`, `"data": "data", "key": {"file": "secret.txt"},`, "at least 32 bytes"},
		{"a secret of two kinds", `{"file": "secret.txt"}`, `{"file": "secret.txt", "env": "HOME"}`, "line 5"},
		{"no time at all", `"data": "data",`, `"data": "data", "session": {"idle": "-1s"},`, "session: idle"},
		{"an end before the idle time", `"data": "data",`, `"data": "data", "session": {"absolute": "1m"},`, "absolute not shorter"},
		{"two feeds of one name", `"feeds": [`, `"feeds": [{"name": "general", "listen": "127.0.0.1:2576"}, `, "used twice"},
		{"two feeds at one address", `"feeds": [`, `"feeds": [{"name": "other", "listen": "127.0.0.1:2575"}, `, "used twice"},
		{"a folder that is nowhere", `"feeds": [`, `"feeds": [{"name": "drop", "folder": {}}, `, "feeds[0].folder.path: is missing"},
		{"a folder and an address", `"feeds": [`, `"feeds": [{"name": "drop", "listen": "127.0.0.1:2576", "folder": {"path": "in"}}, `, "so no listen"},
		{"one folder twice", `"feeds": [`, `"feeds": [{"name": "a", "folder": {"path": "in"}}, {"name": "b", "folder": {"path": "in"}}, `, "is used twice"},
		{"a server asked in the open", `"feeds": [`, `"feeds": [{"name": "ehr", "pull": {"base": "http://ehr.example.org/fhir", "types": ["Patient"]}}, `, "feeds[0].pull.base: must be https"},
		{"a server asked for nothing", `"feeds": [`, `"feeds": [{"name": "ehr", "pull": {"base": "https://ehr.example.org/fhir"}}, `, "feeds[0].pull.types: is missing"},
		{"a server asked for files", `"feeds": [`, `"feeds": [{"name": "ehr", "pull": {"base": "https://ehr.example.org/fhir", "types": ["Binary"]}}, `, "Binary cannot be asked for"},
		{"a server that sends too", `"feeds": [`, `"feeds": [{"name": "ehr", "listen": "127.0.0.1:2576", "pull": {"base": "https://ehr.example.org/fhir", "types": ["Patient"]}}, `, "so no listen"},
		{"a server's key in the open", `"feeds": [`, `"feeds": [{"name": "ehr", "pull": {"base": "https://ehr.example.org/fhir", "types": ["Patient"], "auth": {"clientId": "me", "key": "hush"}}}, `, "feeds[0].pull.auth.key may not stand here"},
		{"a receiver of nobody", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"fhir": {"base": "https://ehr.example.org/fhir"}}}, `, "feeds[0].send.from: is missing"},
		{"a receiver that is nowhere", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"]}}, `, "feeds[0].send.fhir, mllp: one of them"},
		{"a receiver in the open", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "fhir": {"base": "http://ehr.example.org/fhir"}}}, `, "feeds[0].send.fhir.base: must be https"},
		{"a receiver's key in the open", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "fhir": {"base": "https://ehr.example.org/fhir", "auth": {"clientId": "me", "key": "hush"}}}}, `, "feeds[0].send.fhir.auth.key may not stand here"},
		{"patients sent by FHIR", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "types": ["Patient"], "fhir": {"base": "https://ehr.example.org/fhir"}}}, `, "Patient cannot be sent"},
		{"orders sent by HL7 v2", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "types": ["ServiceRequest"], "mllp": {"address": "127.0.0.1:2577"}}}, `, "ServiceRequest cannot be sent"},
		{"HL7 v2 sent in the open", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "mllp": {"address": "ehr.example.org:2577"}}}, `, "is not loopback, so it needs tls"},
		{"appointments as something else", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "mllp": {"address": "127.0.0.1:2577", "appointments": "ORM"}}}, `, "must be SRM or SIU"},
		{"a certificate without a key", `"feeds": [`, `"feeds": [{"name": "ehr", "send": {"from": ["portal"], "mllp": {"address": "ehr.example.org:2577", "tls": {"certificate": "a.pem"}}}}, `, "both certificate and key"},
		{"a rate below nothing", `"feeds": [`, `"feeds": [{"name": "other", "listen": "127.0.0.1:2576", "rate": -1}, `, "feeds[0].rate must be"},
		{"a rate of who is asked", `"feeds": [`, `"feeds": [{"name": "ehr", "rate": 5, "pull": {"base": "https://ehr.example.org/fhir", "types": ["Patient"]}}, `, "feeds[0].rate must be"},
		{"hours that are none", `"feeds": [`, `"feeds": [{"name": "drop", "folder": {"path": "in"}, "hours": ["8-12"]}, `, `hours are written "20:00-06:00"`},
		{"hours of a sender", `"feeds": [`, `"feeds": [{"name": "other", "listen": "127.0.0.1:2576", "hours": ["08:00-12:00"]}, `, "feeds[0].hours: the feed is sent to"},
		{"subscribers who are nowhere", `"feeds": [`, `"subscriptions": {"to": []}, "feeds": [`, "subscriptions.to is empty"},
		{"subscribers in the open", `"feeds": [`, `"subscriptions": {"to": ["http://ehr.example.org/hook"]}, "feeds": [`, "subscriptions.to has what is no https address"},
		{"subscribers by mail without a server", `"feeds": [`, `"subscriptions": {"to": ["mailto:nurse@example.org"]}, "feeds": [`, "no mail beside it"},
		{"a subscriber by mail who has no address", `"feeds": [`, `"subscriptions": {"to": ["mailto:Nurse <nurse@example.org>"], "mail": {"server": "smtp.example.org:587", "from": "gw@example.org"}}, "feeds": [`, "subscriptions.to has an address of mail that is none"},
		{"rounds without end", `"feeds": [`, `"subscriptions": {"to": ["https://ehr.example.org/hook"], "every": "10ms"}, "feeds": [`, "subscriptions.every must be"},
		{"a mail server's password in the open", `"feeds": [`, `"subscriptions": {"to": ["mailto:nurse@example.org"], "mail": {"server": "smtp.example.org:587", "from": "gw@example.org", "user": "u", "password": "hush"}}, "feeds": [`, "subscriptions.mail.password may not stand here"},
		{"a secret from an empty environment", `{"file": "secret.txt"}`, `{"env": "FIREBREAK_NOT_SET"}`, "FIREBREAK_NOT_SET"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(goodConfig, c.old, c.new, 1)
			if text == goodConfig {
				t.Fatal("the case changes nothing")
			}
			_, err := readText(t, text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			} else if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// Databases are files beside the configuration, or addresses; a password is no
// fault where it comes from a file.
func TestConfigDatabases(t *testing.T) {
	for _, c := range []struct{ value, ends string }{
		{`"record.db"`, "/record.db"},
		{`"sqlite:sub/record.db"`, "/sub/record.db"},
		{`"/var/lib/record.db"`, "/var/lib/record.db"},
		{`"postgres://db/x"`, "postgres://db/x"},
		{`{"file": "secret.txt"}`, "/open sesame"},
	} {
		cfg, err := readText(t, strings.Replace(goodConfig, `"data": "data",`, `"data": "data", "database": `+c.value+`,`, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Database.Value; !strings.HasSuffix(got, c.ends) || !isPostgres(got) && !filepath.IsAbs(got) {
			t.Errorf("%s is %s", c.value, got)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(goodConfig)
	f.Add(`{"listen": 7}`)
	f.Add("{\n\"feeds\": [{\"name\": \"a\", \"tls\": {}}]}")
	f.Add(`{"session": {"idle": "1h"}, "key": {"env": "HOME"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		cfg := &Config{folder: "/nowhere"}
		if err := cfg.read([]byte(text), "c.json"); err != nil {
			if !strings.HasPrefix(err.Error(), "config: c.json line ") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		_ = cfg.Finish() // whatever it says, it says it
	})
}

// A declaration of a source that nobody is would leave the one that was meant open.
func TestDeclaredSourcesExist(t *testing.T) {
	seed := registry.Seed{Clients: []registry.SeedClient{{ID: "c", Source: "pusher"}}}
	for source, ok := range map[string]bool{"general": true, "pusher": true, "generall": false, "c": false} {
		cfg := &Config{Feeds: []Feed{{Name: "general"}}, Declared: map[string][]label.Label{source: {label.Part2}}}
		if err := cfg.knowsSources(seed); (err == nil) != ok {
			t.Errorf("%s: %v", source, err)
		}
	}
}
