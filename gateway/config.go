package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/time/rate"

	"firebreak/access"
	"firebreak/auth/smart"
	"firebreak/fhir/terminology"
	"firebreak/inbox"
	"firebreak/label"
)

// Config is the one file that firebreak serve reads. Keys it does not know are
// refused; what is left out takes the safe default said here. Paths are
// relative to the file's folder.
type Config struct {
	// Listen is the address of pages and FHIR API, "127.0.0.1:8080". Without
	// TLS it must be loopback: a proxy that ends TLS stands before it.
	Listen string `json:"listen"`

	// Base is the address that browsers and apps use, "https://gw.example.org",
	// without a path. The FHIR API is at Base + "/fhir".
	Base string `json:"base"`

	// TLS is the certificate of Listen.
	TLS *TLS `json:"tls,omitzero"`

	// Metrics is the address of Prometheus metrics. Default "127.0.0.1:9464".
	// "off" leaves it out. It must be loopback or of a private network, for
	// whoever reaches it may read it.
	Metrics string `json:"metrics,omitzero"`

	// Data is the folder for everything that is kept in files: the embedded
	// databases and the audit log. It is made with mode 0700.
	Data string `json:"data"`

	// Database holds messages and charts: a file, or "postgres://...".
	// Default: record.db in Data.
	Database Secret `json:"database,omitzero"`

	// Accounts holds people, worksites and sessions. Default: accounts.db in Data.
	Accounts Secret `json:"accounts,omitzero"`

	// Key makes the ids of resources: at least 32 bytes. Whoever changes it
	// changes every id, so keep it with the database. Default: a random one in
	// Data, made at the first start.
	Key Secret `json:"key,omitzero"`

	// SignIn is the OpenID provider that people sign in with.
	SignIn SignIn `json:"signIn"`

	// Tokens says which access tokens the FHIR API takes. Default: those of
	// SignIn's issuer, for the audience Base + "/fhir".
	Tokens Tokens `json:"tokens,omitzero"`

	// Registry is a JSON file of worksites, people and clients, read at each
	// start; see docs/configuration.md.
	Registry string `json:"registry"`

	// Policy is the policy file. Default: the shipped one.
	Policy string `json:"policy,omitzero"`

	// Terminology are files of ValueSets and CodeSystems in JSON, each a resource or a
	// Bundle of them, or folders of such files, that searches are answered by beside
	// R4's own. They are read at each start. Default: none.
	Terminology []string `json:"terminology,omitzero"`

	// Apps are the SMART apps and backend services that the gateway issues tokens
	// to itself; see docs/apps.md. Default: none, and apps get theirs from Tokens' issuer.
	Apps []smart.Client `json:"apps,omitzero"`

	// Registration is whether apps may register themselves, to wait until an operator
	// lets them in; see docs/apps.md. Default: no.
	Registration smart.Registration `json:"registration,omitzero"`

	// Limits are how often each app may ask in a minute, where it has none of its own.
	// Default: 6,000 requests to the FHIR API, 120 for tokens from each address.
	Limits smart.Limits `json:"limits,omitzero"`

	// Feeds are the sources of data.
	Feeds []Feed `json:"feeds"`

	// Alerts says who is told when something needs a person.
	Alerts *Alerts `json:"alerts,omitzero"`

	// Subscriptions says where clients may have notices of what is new sent to.
	// Default: no Subscription is taken.
	Subscriptions *Subscriptions `json:"subscriptions,omitzero"`

	// Declared gives labels to everything from a source, a feed or a client that
	// pushes: {"detox-clinic": ["part2"]} for a programme under 42 CFR Part 2.
	Declared map[string][]label.Label `json:"declared,omitzero"`

	// Purge is how long after they came the texts of a source's HL7 v2 messages and
	// C-CDA documents are kept, by its name: {"*": "2160h"}, "*" for those it does not
	// name. What they told stays; see docs/operating.md. Default: for ever.
	Purge map[string]Duration `json:"purge,omitzero"`

	// Session limits sign-in. Default: 15 minutes idle, 12 hours in all.
	Session Session `json:"session,omitzero"`

	// Zone is the facility's time zone, for dates that are our own. Default UTC.
	Zone string `json:"zone,omitzero"`

	// Emergency is the number that pages say to call. Default "9-1-1".
	Emergency string `json:"emergency,omitzero"`

	// HelpLine says how to reach help, "604-555-0100, weekdays 8 to 17".
	HelpLine string `json:"helpLine,omitzero"`

	folder string // of the file, for relative paths
}

// TLS names a certificate and key in PEM, and for a listener the CA whose
// client certificates it asks for.
type TLS struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	ClientCA    string `json:"clientCA,omitzero"`
}

// Secret is a value that comes from a file ({"file": PATH}) or the environment
// ({"env": NAME}), so that the configuration itself holds none. A database that
// needs no password may be a plain string.
type Secret struct {
	Value string // never printed
	open  bool   // it stood in the configuration itself
}

func (Secret) String() string { return "(secret)" }

// SignIn is an OpenID provider.
type SignIn struct {
	Issuer       string   `json:"issuer"`
	ClientID     string   `json:"clientId"`
	ClientSecret Secret   `json:"clientSecret,omitzero"`
	Algorithms   []string `json:"algorithms,omitzero"` // default: auth.Algorithms, none of them symmetric
	ACR          string   `json:"acr,omitzero"`        // refuse sign-ins weaker than this
}

// Tokens are the access tokens that the FHIR API takes.
type Tokens struct {
	Issuer     string   `json:"issuer"`
	Audience   string   `json:"audience,omitzero"`
	Algorithms []string `json:"algorithms,omitzero"`
}

// Feed is one source: of HL7 v2 messages over MLLP or in files, or a FHIR
// server that is asked.
type Feed struct {
	// Name is part of every id made from the feed: never change it.
	Name string `json:"name"`
	// Display is what providers read in "data up to"; it must tell no kind of
	// care (never "sexual health clinic"). Default: Name.
	Display string `json:"display,omitzero"`
	// Listen is the MLLP address, "127.0.0.1:2575".
	Listen string `json:"listen,omitzero"`
	TLS    *TLS   `json:"tls,omitzero"`
	// Pull is the FHIR server to ask, instead of Listen.
	Pull *Pull `json:"pull,omitzero"`
	// Folder is where the source puts files, instead of Listen.
	Folder *Folder `json:"folder,omitzero"`
	// Post takes messages over HTTPS instead, at /fhir/hl7, from the registry's
	// clients whose source has this feed's name.
	Post bool `json:"post,omitzero"`
	// Send is how what is addressed to the source's system is brought there. A feed
	// may have this alone.
	Send *Send `json:"send,omitzero"`
	// Hours are when it may begin to ask, look into its folder or send; see Hours.
	// Default: always.
	Hours []Hours `json:"hours,omitzero"`
	// Silent is how long nothing may come before the operators are told. Default: never.
	Silent Duration `json:"silent,omitzero"`
	// Rate is how many messages a second are taken at most, by MLLP, POST or from a
	// folder; more wait. Default: no limit.
	Rate int `json:"rate,omitzero"`
	// Facilities that may send here (MSH-4.1); others are refused. Empty: all.
	Facilities []string `json:"facilities,omitzero"`
	// Zone is the time zone of times without one, "America/Vancouver". Default UTC.
	Zone string `json:"zone,omitzero"`
	// Authority is the assigning authority (PID-3.4.1) whose number names a
	// patient. Default: the first identifier of type MR, else the first.
	Authority string `json:"authority,omitzero"`
	// Systems gives the URI of an assigning authority or local code system by
	// the name the source uses: "BCPHN": "https://fhir.infoway-inforoute.ca/NamingSystem/ca-bc-patient-healthcare-id".
	Systems map[string]string `json:"systems,omitzero"`
	// Dialect is the file that says how its HL7 v2 messages differ from the
	// standard: see docs/feeds.md. Default: they do not.
	Dialect string `json:"dialect,omitzero"`

	dialect *dialectInForce // what the file says; nil: there is none
}

// maxQueue is how many clients may wait to be let in: more than anybody looks through.
const maxQueue = 1000

// limit is what Rate says, for one feed; nil when there is none.
func (f Feed) limit() *rate.Limiter {
	if f.Rate <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(f.Rate), f.Rate)
}

// onlySends tells whether nothing comes from the feed.
func (f Feed) onlySends() bool {
	return f.Send != nil && f.Listen == "" && f.Pull == nil && f.Folder == nil && !f.Post
}

// Session limits a sign-in.
type Session struct {
	Idle     Duration `json:"idle,omitzero"`
	Absolute Duration `json:"absolute,omitzero"`
}

// Duration reads "15m".
type Duration time.Duration

func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// UnmarshalJSON reads a string, {"file": PATH} or {"env": NAME}. Files are read
// by Finish, which knows the configuration's folder.
func (s *Secret) UnmarshalJSON(b []byte) error {
	*s = Secret{}
	if len(b) > 0 && b[0] == '"' {
		s.open = true
		return json.Unmarshal(b, &s.Value)
	}
	var from struct {
		File string `json:"file,omitzero"`
		Env  string `json:"env,omitzero"`
	}
	if err := json.Unmarshal(b, &from, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	switch {
	case from.File != "" && from.Env == "":
		s.Value = fileMark + from.File
	case from.Env != "" && from.File == "":
		v, ok := os.LookupEnv(from.Env)
		if !ok || v == "" {
			return fmt.Errorf("the environment has no %s", from.Env)
		}
		s.Value = v
	default:
		return errors.New(`a secret is {"file": PATH} or {"env": NAME}`)
	}
	return nil
}

const fileMark = "\x00file:"

// resolve reads the secret's file, if that is where it is.
func (s *Secret) resolve(folder string) error {
	path, ok := strings.CutPrefix(s.Value, fileMark)
	if !ok {
		return nil
	}
	b, err := os.ReadFile(within(folder, path))
	if err != nil {
		return err
	}
	if s.Value = strings.TrimSpace(string(b)); s.Value == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

func within(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// ReadConfig reads and checks a configuration file. Errors name the file and line.
func ReadConfig(path string) (*Config, error) {
	cfg, err := ReadPartial(path)
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Finish()
}

// ReadPartial reads a configuration file that need not be complete; whoever
// completes it calls Finish.
func ReadPartial(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	cfg := &Config{folder: filepath.Dir(path)}
	return cfg, cfg.read(b, path)
}

func (cfg *Config) read(b []byte, path string) error {
	err := json.Unmarshal(b, cfg, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	offset, text := int64(0), err.Error()
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		offset = s.ByteOffset
		text = fmt.Sprintf("%s: %v", s.JSONPointer, s.Err)
		if errors.Is(err, json.ErrUnknownName) {
			text = fmt.Sprintf("there is no key %q here", s.JSONPointer.LastToken())
		} else if s.Err == nil {
			text = fmt.Sprintf("%s: does not take a JSON %v", s.JSONPointer, s.JSONKind)
		}
	} else if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset, text = s.ByteOffset, s.Err.Error()
	}
	line := 1 + bytes.Count(b[:min(int(offset), len(b))], []byte("\n"))
	return fmt.Errorf("config: %s line %d: %s", path, line, text)
}

// Finish fills the defaults and refuses what cannot work.
func (cfg *Config) Finish() error {
	for _, s := range cfg.secrets() {
		if err := s.resolve(cfg.folder); err != nil {
			return fmt.Errorf("config: %s: %w", s.name, err)
		}
		if s.database && !isPostgres(s.Value) {
			s.Value = within(cfg.folder, strings.TrimPrefix(s.Value, "sqlite:"))
		}
	}
	for _, p := range []*string{&cfg.Data, &cfg.Registry, &cfg.Policy} {
		*p = within(cfg.folder, *p)
	}
	for i := range cfg.Terminology {
		cfg.Terminology[i] = within(cfg.folder, cfg.Terminology[i])
	}
	tls := []*TLS{cfg.TLS}
	for i := range cfg.Feeds {
		tls = append(tls, cfg.Feeds[i].TLS)
	}
	for _, t := range tls {
		if t != nil {
			t.Certificate, t.Key, t.ClientCA = within(cfg.folder, t.Certificate), within(cfg.folder, t.Key), within(cfg.folder, t.ClientCA)
		}
	}
	setDefault(&cfg.Metrics, "127.0.0.1:9464")
	setDefault(&cfg.Database.Value, filepath.Join(cfg.Data, "record.db"))
	setDefault(&cfg.Accounts.Value, filepath.Join(cfg.Data, "accounts.db"))
	setDefault(&cfg.Zone, "UTC")
	setDefault(&cfg.Tokens.Issuer, cfg.SignIn.Issuer)
	setDefault(&cfg.Tokens.Audience, cfg.Base+"/fhir")
	setDefault(&cfg.Session.Idle, Duration(15*time.Minute))
	setDefault(&cfg.Session.Absolute, Duration(12*time.Hour))
	for i := range cfg.Feeds {
		setDefault(&cfg.Feeds[i].Display, cfg.Feeds[i].Name)
		setDefault(&cfg.Feeds[i].Zone, "UTC")
		cfg.Feeds[i].Dialect = within(cfg.folder, cfg.Feeds[i].Dialect)
		if p := cfg.Feeds[i].Pull; p != nil {
			p.finish(cfg.folder)
		}
		if f := cfg.Feeds[i].Folder; f != nil {
			f.finish(cfg.folder)
		}
		if s := cfg.Feeds[i].Send; s != nil {
			s.finish(cfg.folder)
		}
	}
	if cfg.Alerts != nil {
		cfg.Alerts.finish(cfg.folder)
	}
	if cfg.Subscriptions != nil {
		cfg.Subscriptions.finish(cfg.folder)
	}
	return cfg.check()
}

// codes are the value sets and code systems that searches are answered by; nil:
// R4's own.
func (cfg *Config) codes() (*terminology.Library, error) {
	if len(cfg.Terminology) == 0 {
		return nil, nil
	}
	codes, err := terminology.Read(cfg.Terminology...)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return codes, nil
}

type namedSecret struct {
	name string
	*Secret
	database bool // the address of one
}

func (cfg *Config) secrets() []namedSecret {
	all := []namedSecret{
		{"database", &cfg.Database, true}, {"accounts", &cfg.Accounts, true},
		{"key", &cfg.Key, false}, {"signIn.clientSecret", &cfg.SignIn.ClientSecret, false},
	}
	if a := cfg.Alerts; a != nil {
		if a.Mail != nil {
			all = append(all, namedSecret{"alerts.mail.password", &a.Mail.Password, false})
		}
		for name, r := range map[string]*Receivers{"operators": a.Operators, "officers": a.Officers} {
			if r != nil && r.Webhook != nil {
				all = append(all, namedSecret{"alerts." + name + ".webhook.secret", &r.Webhook.Secret, false})
			}
		}
	}
	if s := cfg.Subscriptions; s != nil && s.Mail != nil {
		all = append(all, namedSecret{"subscriptions.mail.password", &s.Mail.Password, false})
	}
	for i, f := range cfg.Feeds {
		if f.Pull != nil && f.Pull.Auth != nil {
			all = append(all, namedSecret{fmt.Sprintf("feeds[%d].pull.auth.key", i), &f.Pull.Auth.Key, false})
		}
		if f.Send != nil && f.Send.FHIR != nil && f.Send.FHIR.Auth != nil {
			all = append(all, namedSecret{fmt.Sprintf("feeds[%d].send.fhir.auth.key", i), &f.Send.FHIR.Auth.Key, false})
		}
	}
	return all
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// hasPassword tells whether a database's address may not be read by everyone.
func hasPassword(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return true
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func (cfg *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("config: "+format, args...)) }
	for _, must := range []struct{ key, value string }{
		{"listen", cfg.Listen}, {"base", cfg.Base}, {"data", cfg.Data}, {"signIn.issuer", cfg.SignIn.Issuer},
		{"signIn.clientId", cfg.SignIn.ClientID}, {"registry", cfg.Registry},
	} {
		if must.value == "" {
			bad("%s is missing", must.key)
		}
	}
	u, err := url.Parse(cfg.Base)
	switch {
	case err != nil || u.Host == "" || strings.TrimRight(u.Path, "/") != u.Path || u.Path != "":
		bad("base must be scheme and host, such as https://gateway.example.org")
	case u.Scheme != "https" && !loopback(u.Host):
		bad("base must be https unless it is a loopback address")
	}
	if cfg.TLS == nil && cfg.Listen != "" && !loopback(cfg.Listen) {
		bad("listen %s is not loopback, so it needs tls", cfg.Listen)
	}
	for _, s := range cfg.secrets() {
		if s.open && s.Value != "" && (!s.database || isPostgres(s.Value) && hasPassword(s.Value)) {
			bad(`%s may not stand here: it is a secret, so {"file": PATH} or {"env": NAME}`, s.name)
		}
	}
	if idle, absolute := time.Duration(cfg.Session.Idle), time.Duration(cfg.Session.Absolute); idle <= 0 || absolute < idle {
		bad("session: idle must be longer than nothing, absolute not shorter than idle")
	}
	if cfg.Key.Value != "" && len(cfg.Key.Value) < 32 {
		bad("key must have at least 32 bytes")
	}
	if s := cfg.Subscriptions; s != nil {
		s.check(func(key, why string) { bad("subscriptions.%s %s", key, why) })
	}
	if cfg.Metrics != "off" && !private(cfg.Metrics) {
		bad("metrics must be a loopback address or one of a private network: it has no sign-in")
	}
	if _, err := time.LoadLocation(cfg.Zone); err != nil {
		bad("zone %q is not a time zone", cfg.Zone)
	}
	for source, labels := range cfg.Declared {
		for _, l := range labels {
			if !slices.Contains(label.Classes(), l) {
				bad("declared.%s: there is no label %q; there are %v", source, l, label.Classes())
			}
		}
	}
	for i, app := range cfg.Apps {
		for _, role := range app.Roles {
			if !access.Role(role).Clinical() {
				bad("apps[%d].roles: %q opens no chart", i, role)
			}
		}
	}
	if l := cfg.Limits; l.API < 0 || l.Token < 0 || l.API > smart.MaxLimit || l.Token > smart.MaxLimit {
		bad("limits are from 0, for the usual, to %d", smart.MaxLimit)
	}
	if r := cfg.Registration; r.Queue < 0 || r.FromAddress < 0 || r.Queue > maxQueue || r.FromAddress > maxQueue {
		bad("registration: queue and fromAddress are from 0, for the usual, to %d", maxQueue)
	}
	for source, after := range cfg.Purge {
		if time.Duration(after) < leastKept {
			bad("purge.%s must be at least %v: what is purged cannot be mended", source, leastKept)
		}
	}
	names, addresses, folders := map[string]bool{}, map[string]bool{}, map[string]bool{}
	if cfg.Alerts != nil {
		cfg.Alerts.check(func(key, why string) { bad("alerts.%s: %s", key, why) })
	}
	for i, f := range cfg.Feeds {
		where := fmt.Sprintf("feeds[%d]", i)
		if f.Rate < 0 || f.Rate > 0 && (f.Pull != nil || f.onlySends()) {
			bad("%s.rate must be more than nothing, and is for what is sent here: pull and send have their own", where)
		}
		if f.Silent < 0 {
			bad("%s.silent must not be less than nothing", where)
		}
		if f.Name == "" || strings.ContainsAny(f.Name, " |/\\\"") {
			bad("%s.name must be a word without blanks, bars, slashes or quotes", where)
		}
		if f.Name == inbox.Own {
			bad("%s.name %q is the gateway's own", where, f.Name)
		}
		if names[f.Name] {
			bad("%s.name %q is used twice", where, f.Name)
		}
		names[f.Name] = true
		if _, err := time.LoadLocation(f.Zone); err != nil {
			bad("%s.zone %q is not a time zone", where, f.Zone)
		}
		if err := f.checkHours(); err != nil {
			bad("%s.%w", where, err)
		}
		if f.Dialect != "" {
			d, err := ReadDialect(f.Dialect)
			if err != nil {
				bad("%s.dialect: %w", where, err)
			}
			cfg.Feeds[i].dialect = &dialectInForce{}
			cfg.Feeds[i].dialect.Store(d)
		}
		if f.Send != nil {
			f.Send.check(func(key, why string) { bad("%s.send.%s: %s", where, key, why) })
			if f.onlySends() {
				continue
			}
		}
		if f.Post {
			if f.Listen != "" || f.TLS != nil || f.Pull != nil || f.Folder != nil {
				bad("%s has post, so no listen, tls, pull or folder", where)
			}
			continue
		}
		if f.Folder != nil {
			if f.Listen != "" || f.TLS != nil || f.Pull != nil {
				bad("%s has folder, so no listen, tls or pull", where)
			}
			if folders[f.Folder.Path] {
				bad("%s.folder %s is used twice", where, f.Folder.Path)
			}
			folders[f.Folder.Path] = true
			f.Folder.check(func(key, why string) { bad("%s.folder.%s: %s", where, key, why) })
			continue
		}
		if f.Pull != nil {
			if f.Listen != "" || f.TLS != nil || len(f.Facilities) > 0 || f.Authority != "" || f.Dialect != "" {
				bad("%s has pull, so no listen, tls, facilities, authority or dialect", where)
			}
			f.Pull.check(func(key, why string) { bad("%s.pull.%s: %s", where, key, why) })
			continue
		}
		if addresses[f.Listen] && f.Listen != "127.0.0.1:0" {
			bad("%s.listen %s is used twice", where, f.Listen)
		}
		addresses[f.Listen] = true
		if _, _, err := net.SplitHostPort(f.Listen); err != nil {
			bad("%s.listen must be HOST:PORT", where)
		} else if f.TLS == nil && !loopback(f.Listen) {
			bad("%s.listen %s is not loopback, so it needs tls", where, f.Listen)
		}
	}
	return errors.Join(errs...)
}

// loopback tells whether an address, with or without port, is this machine's own.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// AuditFolder is where the audit log lies.
func (cfg *Config) AuditFolder() string { return filepath.Join(cfg.Data, "audit") }

// private tells whether an address is this machine's or of a private network.
func private(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (loopback(address) || net.ParseIP(host).IsPrivate())
}

// secure tells whether browsers reach us by https, through us or a proxy.
func (cfg *Config) secure() bool { return strings.HasPrefix(cfg.Base, "https://") }

// origin is the scheme and host of an address.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
