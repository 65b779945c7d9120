package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"firebreak/auth/demoidp"
	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/internal/pgtest"
)

// site is all that a gateway needs around it: an OpenID provider, databases,
// certificates, and a configuration that names them.
type site struct {
	dir, data, config string
	base              string
	database          string // address of the clinical database
	pki               *pki
	idp               *demoidp.Provider
	settings          map[string]any // the configuration
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	s.data, s.config = filepath.Join(s.dir, "data"), filepath.Join(s.dir, "firebreak.json")
	s.pki = newPKI(t, s.dir)
	for _, name := range []string{"server", "lab"} {
		s.pki.issue(t, name, time.Now().Add(time.Hour))
	}
	listen := freeAddress(t)
	s.base = "https://" + listen

	provider := httptest.NewUnstartedServer(nil)
	var err error
	s.idp, err = demoidp.New(demoidp.Config{
		Base: "http://" + provider.Listener.Addr().String(), Audience: s.base + "/fhir", Redirect: s.base + "/sign-in/callback", SignedOut: s.base + "/signed-out",
		People: []demoidp.Person{{Username: "moreau", Name: "Dr Anne Moreau", Role: "physician", Worksite: "Oak", WorksiteID: "oak"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	provider.Config.Handler = s.idp
	provider.Start()
	t.Cleanup(provider.Close)

	s.database = pgtest.DSN(t)
	write(t, filepath.Join(s.dir, "record.dsn"), s.database+"\n")
	write(t, filepath.Join(s.dir, "accounts.dsn"), pgtest.DSN(t)+"\n")
	write(t, filepath.Join(s.dir, "client-secret"), s.idp.Client(demoidp.Gateway).Secret+"\n")
	write(t, filepath.Join(s.dir, "key"), strings.Repeat("key of this test ", 3))
	write(t, filepath.Join(s.dir, "registry.json"), `{
		"worksites": [{"id": "oak", "name": "Oak Street Clinic"}],
		"people": [{"id": "moreau", "subject": "moreau", "name": "Dr Anne Moreau", "memberships": [{"worksite": "oak", "role": "physician"}]}],
		"clients": [{"id": "demo-backend", "name": "Backend", "scopes": "system/*.rs"}]}`)
	s.settings = map[string]any{
		"listen": listen, "base": s.base, "data": "data", "metrics": "127.0.0.1:0",
		"tls":      map[string]any{"certificate": "server.pem", "key": "server.key"},
		"database": map[string]any{"file": "record.dsn"},
		"accounts": map[string]any{"file": "accounts.dsn"},
		"key":      map[string]any{"file": "key"},
		"signIn":   map[string]any{"issuer": s.idp.Issuer(), "clientId": demoidp.Gateway, "clientSecret": map[string]any{"file": "client-secret"}},
		"registry": "registry.json",
		"feeds": []any{map[string]any{
			"name": "lab", "listen": "127.0.0.1:0", "zone": "America/Vancouver",
			"tls": map[string]any{"certificate": "server.pem", "key": "server.key", "clientCA": "ca.pem"},
		}},
	}
	s.save(t)
	return s
}

func (s *site) save(t testing.TB) {
	t.Helper()
	b, err := json.MarshalIndent(s.settings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, string(b))
}

// freeAddress is free now, for what must be known before anything listens. It
// lies below the ports that the system gives away, so that it stays free.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// served is a gateway that runs: its process and where it listens.
type served struct {
	*demotest.Process
	feed, metrics string
	client        *http.Client
}

func (s *site) serve(t testing.TB) *served {
	t.Helper()
	p := launch(t, "serve", "--config", s.config)
	v := &served{Process: p, client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pki.pool()}, ForceAttemptHTTP2: true}}}
	t.Cleanup(v.client.CloseIdleConnections)
	var line struct {
		Msg, Metrics string
		Feeds        []string
	}
	ready := p.Poll(t, "the gateway", func() bool {
		for text := range strings.Lines(p.Stderr.String()) {
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == "serving" {
				return true
			}
		}
		return false
	})
	if !ready {
		t.Fatalf("it ended: %s", p.Stderr.String())
	}
	v.feed, v.metrics = line.Feeds[0], "http://"+line.Metrics+"/metrics"
	return v
}

func (v *served) status(t testing.TB, address string) (int, string) {
	t.Helper()
	answer, err := v.client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// backend is the client demo-backend of the site's provider.
func (s *site) backend(t testing.TB, v *served) *demotest.App {
	t.Helper()
	app := &demotest.App{FHIR: s.base + "/fhir", Client: v.client}
	if err := app.SignIn(t.Context(), demo.Info{Issuer: s.idp.Issuer(), Clients: s.idp.Clients()}); err != nil {
		t.Fatal(err)
	}
	return app
}

// load sends messages of its own over TLS until stopped and keeps a ledger of
// what was acknowledged.
type load struct {
	mu           sync.Mutex
	next         int
	acknowledged []int
}

func (l *load) run(t testing.TB, address string, config *tls.Config) {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		l.mu.Lock()
		l.next++
		n := l.next
		l.mu.Unlock()
		if exchange(conn, r, n) != nil {
			return // the gateway has stopped
		}
		l.mu.Lock()
		l.acknowledged = append(l.acknowledged, n)
		l.mu.Unlock()
	}
}

// The real thing: PostgreSQL, an OpenID provider, TLS everywhere, client
// certificates, secrets in files. It is asked to stop under load, and everything
// it acknowledged is there when it runs again.
func TestServe(t *testing.T) {
	s := newSite(t)
	v := s.serve(t)
	laboratory, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "lab.pem"), filepath.Join(s.dir, "lab.key"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := &tls.Config{RootCAs: s.pki.pool(), Certificates: []tls.Certificate{laboratory}}

	t.Run("answers", func(t *testing.T) {
		for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/fhir/metadata": 200, "/fhir/Patient/x": 401, "/metrics": 404, "/idp/": 404} {
			if got, _ := v.status(t, s.base+path); got != want {
				t.Errorf("%s: %d, want %d", path, got, want)
			}
		}
		_, text := v.status(t, s.base+"/fhir/.well-known/smart-configuration")
		if !strings.Contains(text, s.idp.Issuer()) {
			t.Error("the smart configuration does not name the provider")
		}
		if to := signInAddress(t, v, s.base); !strings.HasPrefix(to, s.idp.Issuer()) {
			t.Errorf("signing in leads to %q", to)
		}
	})
	t.Run("the feed wants a certificate of its CA", func(t *testing.T) {
		stranger := newPKI(t, t.TempDir())
		stranger.issue(t, "lab", time.Now().Add(time.Hour))
		message := write(t, filepath.Join(s.dir, "m.hl7"), oru(0))
		ca := filepath.Join(s.dir, "ca.pem")
		expect(t, 1, "AA 0", "no answer", "send", "--to", v.feed, message) // in the clear
		expect(t, 1, "AA 0", "certificate", "send", "--to", v.feed, "--ca", ca, message)
		expect(t, 1, "AA 0", "certificate", "send", "--to", v.feed, "--ca", ca, "--cert", filepath.Join(stranger.dir, "lab.pem"), "--key", filepath.Join(stranger.dir, "lab.key"), message)
		expect(t, 0, "AA 1", "", "send", "--to", v.feed, "--ca", ca, "--cert", filepath.Join(s.dir, "lab.pem"), "--key", filepath.Join(s.dir, "lab.key"), message)
	})

	var l load
	t.Run("stops under load with status 0", func(t *testing.T) {
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() { l.run(t, v.feed, trusted) })
		}
		v.Poll(t, "some load", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.acknowledged) > 200
		})
		if code := v.Terminate(); code != 0 {
			t.Errorf("it ended with %d: %s", code, v.Stderr.String())
		}
		senders.Wait()
		for _, word := range []string{"panic", `"level":"ERROR"`} {
			if strings.Contains(v.Stderr.String(), word) {
				t.Errorf("its log has %s: %s", word, v.Stderr.String())
			}
		}
	})
	v = s.serve(t)
	app := s.backend(t, v)
	t.Run("everything acknowledged is there", func(t *testing.T) {
		v.Poll(t, "an empty inbox", func() bool { return demotest.Scrape(t, v.metrics)["firebreak_inbox_pending"] == 0 })
		there := map[string]bool{}
		for patient := range crashPatients {
			found, _, err := app.Search(t.Context(), fmt.Sprintf("/Patient?identifier=C%04d&_revinclude=Observation:subject&_count=1", patient))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range found {
				if q, ok := r.Value["valueQuantity"].(map[string]any); ok {
					there[fmt.Sprint(q["value"])] = true
				}
			}
		}
		lost := 0
		for _, n := range l.acknowledged {
			if n%unmappable != 0 && !there[fmt.Sprint(n)] {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("of %d acknowledged messages %d are lost", len(l.acknowledged), lost)
		}
		t.Logf("%d acknowledged, %d results", len(l.acknowledged), len(there))
	})
	t.Run("metrics are by route, feed and status, and hold nothing of patients", func(t *testing.T) {
		metricsSayNothing(t, v, app)
	})
	t.Run("without its database it is not ready, takes nothing, and comes back by itself", func(t *testing.T) {
		s.withoutDatabase(t, v, trusted)
	})
	app.Close()
	if code := v.Terminate(); code != 0 {
		t.Errorf("it ended with %d: %s", code, v.Stderr.String())
	}
	expect(t, 0, "the chain holds", "", "audit", "verify", filepath.Join(s.data, "audit"))
	for _, secret := range []string{s.idp.Client(demoidp.Gateway).Secret, "key of this test", "Crash", "C0001"} {
		if strings.Contains(v.Stderr.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// signInAddress is where signing in leads.
func signInAddress(t testing.TB, v *served, base string) string {
	t.Helper()
	client := *v.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Get(base + "/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.Header.Get("Location")
}

var labelled = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

func metricsSayNothing(t *testing.T, v *served, app *demotest.App) {
	found, _, err := app.Search(t.Context(), "/Patient?identifier=C0001")
	if err != nil || len(found) != 1 {
		t.Fatal(len(found), err)
	}
	id := found[0].ID
	before := demotest.Scrape(t, v.metrics)
	for _, path := range []string{"/Patient/" + id, "/Patient/" + id, "/Patient/nobody", "/Observation?patient=" + id, "/Observation?colour=red"} {
		if _, err := app.Get(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	after := demotest.Scrape(t, v.metrics)
	const read, search = `/fhir/{type:[A-Z][A-Za-z]{1,63}}/{id:[A-Za-z0-9\\-.]{1,64}}`, `/fhir/{type:[A-Z][A-Za-z]{1,63}}`
	for name, more := range map[string]float64{
		fmt.Sprintf(`firebreak_http_requests_total{method="GET",route="%s",status="2xx"}`, read):   2,
		fmt.Sprintf(`firebreak_http_requests_total{method="GET",route="%s",status="4xx"}`, read):   1,
		fmt.Sprintf(`firebreak_http_requests_total{method="GET",route="%s",status="2xx"}`, search): 1,
		fmt.Sprintf(`firebreak_http_requests_total{method="GET",route="%s",status="4xx"}`, search): 1,
		fmt.Sprintf(`firebreak_http_request_seconds_count{route="%s"}`, read):                      3,
	} {
		if got := after[name] - before[name]; got != more {
			t.Errorf("%s grew by %v, want %v", name, got, more)
		}
	}
	for _, name := range []string{
		"firebreak_inbox_messages_total", "firebreak_inbox_held", "firebreak_pipeline_working", "firebreak_pipeline_held_total",
		`firebreak_mllp_connections{feed="lab"}`, `firebreak_mllp_positive_total{feed="lab"}`, "go_goroutines", "process_resident_memory_bytes",
	} {
		if _, ok := after[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	_, text := v.status(t, v.metrics)
	for _, word := range []string{id, "C0001", "Crash", "hiv", "provider", "backend", "moreau", "oak", "2951-2"} {
		if strings.Contains(text, word) {
			t.Errorf("the metrics hold %q", word)
		}
	}
	for _, m := range labelled.FindAllStringSubmatch(text, -1) {
		if !slices.Contains([]string{"route", "method", "status", "feed", "le", "quantile", "version"}, m[1]) {
			t.Errorf("there is a label %s", m[1])
		}
	}
}

// withoutDatabase has PostgreSQL refuse everyone for a while.
func (s *site) withoutDatabase(t *testing.T, v *served, config *tls.Config) {
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	do := func(statement string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do("ALTER DATABASE " + name + " ALLOW_CONNECTIONS false")
	do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'")
	ready := func() int {
		code, text := v.status(t, s.base+"/readyz")
		if code != 200 && text != "not ready\n" {
			t.Errorf("readyz says %q", text)
		}
		return code
	}
	v.Poll(t, "readyz to fail", func() bool { return ready() == http.StatusServiceUnavailable })
	if code, _ := v.status(t, s.base+"/livez"); code != 200 {
		t.Errorf("livez: %d", code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	send := func(n int) string {
		conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", v.feed)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "\x0b%s\x1c\r", oru(n)); err != nil {
			t.Fatal(err)
		}
		answer, err := bufio.NewReader(conn).ReadString('\x1c')
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if answer := send(1_000_001); !strings.Contains(answer, "MSA|AE|M1000001") {
		t.Errorf("without a database the answer is %q", answer)
	}
	do("ALTER DATABASE " + name + " ALLOW_CONNECTIONS true")
	v.Poll(t, "readyz to be well again", func() bool { return ready() == http.StatusOK })
	if answer := send(1_000_001); !strings.Contains(answer, "MSA|AA|M1000001") {
		t.Errorf("with its database again the answer is %q", answer)
	}
}
