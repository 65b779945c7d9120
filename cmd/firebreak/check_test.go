package main

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var verdict = regexp.MustCompile(`(?m)^(ok|FAIL) +(\S+(?: \S+)*?)  +`)

// check tries each connection and names what fails: that, and nothing else.
func TestCheck(t *testing.T) {
	s := newSite(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.pki.issue(t, "old", time.Now().Add(-time.Hour))
	write(t, filepath.Join(s.dir, "broken.json"), "{\n  \"audiences\": 7\n}")
	write(t, filepath.Join(s.dir, "nowhere.dsn"), "postgres://firebreak:hush@127.0.0.1:1/none?connect_timeout=2")
	open := filepath.Join(s.dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	feed := s.settings["feeds"].([]any)[0].(map[string]any)
	for _, c := range []struct {
		name, fails, says string
		change            func(map[string]any)
	}{
		{"everything is well", "", "", func(map[string]any) {}},
		{"the folder is open to others", "data", "mode 0755, should be 0700", func(m map[string]any) { m["data"] = open }},
		{"nobody is at the database's address", "database", "refused", func(m map[string]any) { m["database"] = map[string]any{"file": "nowhere.dsn"} }},
		{"nobody is at the accounts' address", "accounts", "refused", func(m map[string]any) { m["accounts"] = map[string]any{"file": "nowhere.dsn"} }},
		{"the policy is broken", "policy", "broken.json", func(m map[string]any) { m["policy"] = "broken.json" }},
		{"the policy is missing", "policy", "absent.json", func(m map[string]any) { m["policy"] = "absent.json" }},
		{"the registry is broken", "registry", "broken.json", func(m map[string]any) { m["registry"] = "broken.json" }},
		{"the provider is away", "sign-in", "127.0.0.1:1", func(m map[string]any) {
			m["signIn"] = map[string]any{"issuer": "http://127.0.0.1:1/idp", "clientId": "x"}
			m["tokens"] = map[string]any{"issuer": s.idp.Issuer()}
		}},
		{"the tokens' issuer is away", "tokens", "127.0.0.1:1", func(m map[string]any) { m["tokens"] = map[string]any{"issuer": "http://127.0.0.1:1/idp"} }},
		{"the address is taken", "listen", "address already in use", func(m map[string]any) { m["listen"] = taken.Addr().String() }},
		{"the certificate is missing", "listen", "absent.pem", func(m map[string]any) { m["tls"] = map[string]any{"certificate": "absent.pem", "key": "server.key"} }},
		{"the certificate is over", "listen", "ended at", func(m map[string]any) { m["tls"] = map[string]any{"certificate": "old.pem", "key": "old.key"} }},
		{"certificate and key are no pair", "listen", "private key does not match", func(m map[string]any) { m["tls"] = map[string]any{"certificate": "server.pem", "key": "old.key"} }},
		{"the metrics address is taken", "metrics", "address already in use", func(m map[string]any) { m["metrics"] = taken.Addr().String() }},
		{"the feed's address is taken", "feed lab", "address already in use", func(m map[string]any) {
			m["feeds"] = []any{map[string]any{"name": "lab", "listen": taken.Addr().String()}}
		}},
		{"the receiver's server is away", "feed lab", "127.0.0.1:1", func(m map[string]any) {
			m["feeds"] = []any{map[string]any{"name": "lab", "send": map[string]any{"from": []string{"firebreak"}, "fhir": map[string]any{"base": "http://127.0.0.1:1/fhir"}}}}
		}},
		{"the receiver's listener is away", "feed lab", "refused", func(m map[string]any) {
			m["feeds"] = []any{map[string]any{"name": "lab", "send": map[string]any{"from": []string{"firebreak"}, "mllp": map[string]any{"address": "127.0.0.1:1"}}}}
		}},
		{"the feed's CA is none", "feed lab", "no certificate in", func(m map[string]any) {
			m["feeds"] = []any{map[string]any{"name": "lab", "listen": "127.0.0.1:0", "tls": map[string]any{"certificate": "server.pem", "key": "server.key", "clientCA": "registry.json"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := *s
			changed.config = filepath.Join(s.dir, "changed.json")
			changed.settings = map[string]any{}
			maps.Copy(changed.settings, s.settings)
			changed.settings["feeds"] = []any{feed}
			c.change(changed.settings)
			changed.save(t)
			status := 0
			if c.fails != "" {
				status = 1
			}
			out := expect(t, status, c.says, "", "check", "--config", changed.config)
			said := verdict.FindAllStringSubmatch(out, -1)
			if len(said) < 11 {
				t.Errorf("it says only %q", out)
			}
			for _, m := range said {
				if (m[1] == "FAIL") != (m[2] == c.fails) {
					t.Errorf("%s: %s", m[2], m[1])
				}
			}
			if strings.Contains(out, "hush") {
				t.Error("it prints a password")
			}
		})
	}
	if _, err := os.Stat(s.data); !os.IsNotExist(err) {
		t.Error("check made the data folder")
	}
}

// Beside the gateway that has the addresses, their being in use is no fault.
func TestCheckBesideTheGateway(t *testing.T) {
	s := newSite(t)
	s.settings["feeds"].([]any)[0].(map[string]any)["listen"] = freeAddress(t)
	s.settings["metrics"] = freeAddress(t)
	s.save(t)
	expect(t, 0, "ok    listen", "", "check", "--config", s.config)
	v := s.serve(t)
	expect(t, 0, "a gateway has the data folder open", "", "check", "--config", s.config)
	if code := v.Terminate(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
