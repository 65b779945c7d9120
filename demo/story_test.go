package demo_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"firebreak/adapters/hl7"
	"firebreak/audit"
	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/gateway"
	"firebreak/hospital"
	"firebreak/internal/canary"
	"firebreak/record"
)

// TestStories plays the stories of testdata/stories against a whole demo: real
// sockets, real sign-in, a standing clock. testdata/stories/README.md is the
// language.
//
// At the end of every story the audit log's chain must hold.
func TestStories(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "stories", "*.txtar"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			told := play(t, a, true)
			if told.alike {
				plain := play(t, a, false)
				compareTold(t, plain.answers, told.answers)
			}
		})
	}
}

// story is one telling of a story.
type story struct {
	t       *testing.T
	files   map[string]string
	secrets bool // whether what is sent secretly is sent
	clock   atomic.Int64
	config  string
	data    string

	demo    *demotest.Demo
	actors  map[string]*actor
	vars    map[string]string
	secret  *canary.Words
	line    int
	last    reply
	who     *actor
	alike   bool    // the story has a part "alike"
	answers []reply // to that part
}

// reply is the answer to the last thing that was asked.
type reply struct {
	ask    string
	status int
	header http.Header
	body   []byte
	path   string // where redirects ended
}

// play tells a story, with or without what is sent secretly.
func play(t *testing.T, a *txtar.Archive, secrets bool) *story {
	t.Helper()
	s := &story{t: t, secrets: secrets, files: map[string]string{}, actors: map[string]*actor{}, data: filepath.Join(t.TempDir(), "data")}
	s.clock.Store(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).UnixNano())
	for _, f := range a.Files {
		s.files[f.Name] = string(f.Data)
	}
	s.vars = map[string]string{}
	s.configure(`{}`)
	s.start()
	script, ok := s.files["story"]
	if !ok {
		t.Fatal("there is no part named story")
	}
	s.run(script)
	if more, ok := s.files["alike"]; ok {
		s.alike = true
		for line := range strings.Lines(more) {
			for _, one := range braces(strings.TrimSpace(line)) {
				if one == "" || strings.HasPrefix(one, "#") {
					continue
				}
				s.do(one)
				s.answers = append(s.answers, s.anonymous())
			}
		}
	}
	s.demo.Stop()
	if _, err := audit.Verify(filepath.Join(s.data, "audit")); err != nil {
		t.Errorf("the audit log: %v", err)
	}
	return s
}

func (s *story) now() time.Time { return time.Unix(0, s.clock.Load()).UTC() }

// configure writes the configuration; every telling has the same key, so the
// same ids.
func (s *story) configure(text string) {
	dir := s.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.config = filepath.Join(dir, "config.json")
	text = `{"key": {"file": "key"},` + strings.TrimPrefix(strings.TrimSpace(text), "{")
	text = strings.Replace(text, ",}", "}", 1)
	files := map[string]string{s.config: text, filepath.Join(dir, "key"): testKey}
	for name, body := range s.files {
		if strings.HasSuffix(name, ".dialect") {
			files[filepath.Join(dir, name)] = body
		}
	}
	for name, body := range files {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *story) start() {
	s.demo = demotest.Start(s.t, demo.Options{Empty: true, Data: s.data, Config: s.config, Now: s.now})
	s.actors = map[string]*actor{} // their sessions and tokens were of another port
}

func (s *story) run(script string) {
	n := 0
	for line := range strings.Lines(script) {
		n++
		s.line = n
		text := strings.TrimRight(line, "\n ")
		switch {
		case text == "" || strings.HasPrefix(strings.TrimSpace(text), "#"):
		case strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t"):
			s.expect(strings.TrimSpace(text))
		default:
			s.do(text)
		}
	}
}

func (s *story) fatal(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("line %d: %s", s.line, fmt.Sprintf(format, args...))
}

func (s *story) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("line %d: %s\nafter: %s\n%.1500s", s.line, fmt.Sprintf(format, args...), s.last.ask, s.last.text())
}

var variable = regexp.MustCompile(`\$[A-Z]+`)

func (s *story) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		v, ok := s.vars[name[1:]]
		if !ok {
			s.fatal("nothing is kept as %s", name)
		}
		return v
	})
}

// do plays one line of a story.
func (s *story) do(text string) {
	who, rest, _ := strings.Cut(text, " ")
	rest = s.fill(rest)
	verb, rest, _ := strings.Cut(rest, " ")
	switch {
	case who == "clock":
		t, err := time.Parse("2006-01-02 15:04", verb+" "+rest)
		if err != nil {
			s.fatal("%v", err)
		}
		s.clock.Store(t.UnixNano())
	case who == "later":
		d, err := time.ParseDuration(verb)
		if err != nil {
			s.fatal("%v", err)
		}
		s.clock.Add(int64(d))
	case who == "secret":
		words := append([]string{verb}, strings.Fields(rest)...)
		s.secret = canary.New(words...)
	case who == "hospital" && verb == "sends":
		s.send(strings.Fields(rest))
	case who == "hospital" && verb == "secretly":
		if s.secrets {
			s.send(strings.Fields(strings.TrimPrefix(rest, "sends ")))
		}
	case who == "clinic" && verb == "drops":
		s.drop(rest)
	case who == "gateway" && verb == "restarts":
		s.demo.Stop()
		if name, ok := strings.CutPrefix(rest, "with "); ok {
			s.configure(s.file(name))
		}
		s.start()
	case who == "operator" && verb == "replays":
		s.operate(func(ctx context.Context, o *gateway.Operator) (string, error) {
			r, err := o.Replay(ctx)
			text := fmt.Sprintf("%d applied, %d held\n", r.Applied, len(r.Held))
			for _, h := range r.Held {
				text += h.Reason + "\n"
			}
			return text, err
		})
	case who == "operator" && verb == "lists" && rest == "held":
		s.operate(func(ctx context.Context, o *gateway.Operator) (string, error) {
			var text string
			n := 0
			err := o.Held(ctx, func(h record.Held) { n++; text += string(h.Kind) + " from " + h.Source + ": " + h.Reason + "\n" })
			return strconv.Itoa(n) + " held\n" + text, err
		})
	case who == "metrics":
		answer, err := http.Get(s.demo.Info.Metrics)
		s.take(text, answer, err)
	case who == "anyone":
		s.who = s.actor(who)
		s.who.act(verb, rest)
	default:
		s.who = s.actor(who)
		s.who.act(verb, rest)
	}
}

func (s *story) operate(f func(context.Context, *gateway.Operator) (string, error)) {
	o, err := gateway.Attach(s.t.Context(), s.data)
	if err != nil {
		s.fatal("%v", err)
	}
	defer o.Close()
	if err := s.demo.Gateway.Idle(s.t.Context()); err != nil { // what was posted is applied after its answer
		s.fatal("%v", err)
	}
	text, err := f(s.t.Context(), o)
	if err != nil {
		s.fatal("%v", err)
	}
	s.last = reply{ask: "operator", status: 200, body: []byte(text)}
}

func (s *story) file(name string) string {
	text, ok := s.files[name]
	if !ok {
		s.fatal("there is no part named %s", name)
	}
	return text
}

var pdfWords = regexp.MustCompile(`\{pdf: ([^}]*)\}`)

// send sends messages in order over one connection and waits until they are
// applied or held.
func (s *story) send(names []string) {
	var all [][]byte
	for _, name := range names {
		text := pdfWords.ReplaceAllStringFunc(s.file(strings.TrimSuffix(name, ",")), func(m string) string {
			return base64.StdEncoding.EncodeToString(hospital.PDF(pdfWords.FindStringSubmatch(m)[1]))
		})
		for m := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
			all = append(all, []byte(strings.ReplaceAll(strings.TrimSpace(m), "\n", "\r")+"\r"))
		}
	}
	client := &hl7.Client{Addr: s.demo.Info.MLLP}
	defer client.Close()
	var codes []string
	for _, m := range all {
		answer, err := client.Send(s.t.Context(), m)
		if err != nil {
			s.fatal("%v", err)
		}
		codes = append(codes, string(answer.Code))
	}
	if err := s.demo.Gateway.Idle(s.t.Context()); err != nil {
		s.fatal("%v", err)
	}
	s.last = reply{ask: "hospital sends", status: 200, body: []byte(strings.Join(codes, " "))}
}

// drop puts a file into the folder "in" beside the configuration and waits until
// it has been taken. The answer is the report.
func (s *story) drop(name string) {
	in := filepath.Join(filepath.Dir(s.config), "in")
	path := filepath.Join(in, name)
	if err := cmp.Or(os.WriteFile(path, []byte(s.file(name)), 0o600), os.Chtimes(path, s.now(), s.now())); err != nil {
		s.fatal("%v", err)
	}
	for {
		for _, folder := range []string{"done", "failed"} {
			if report, err := os.ReadFile(filepath.Join(in, folder, name+".report.txt")); err == nil {
				if _, err := os.Stat(path); err == nil {
					continue // it moves next
				}
				if err := s.demo.Gateway.Idle(s.t.Context()); err != nil {
					s.fatal("%v", err)
				}
				s.last = reply{ask: "clinic drops " + name, status: 200, body: append([]byte(folder+": "), report...)}
				return
			}
		}
		select {
		case <-time.After(20 * time.Millisecond): // the folder is looked into by the machine's clock, and judged by the story's
			s.clock.Add(int64(time.Second))
		case <-s.t.Context().Done():
			s.fatal("%s is not taken", name)
		}
	}
}

// expect holds the last answer to an indented line.
func (s *story) expect(text string) {
	s.t.Helper()
	verb, rest, _ := strings.Cut(s.fill(text), " ")
	switch verb {
	case "status":
		if strconv.Itoa(s.last.status) != rest {
			s.fail("status %d, want %s", s.last.status, rest)
		}
	case "see":
		if !strings.Contains(s.last.text(), rest) && !bytes.Contains(s.last.body, []byte(rest)) {
			s.fail("%q is not to be seen", rest)
		}
	case "hide":
		if s.anonymous().shows(rest) { // a short word stands in some random address now and then
			s.fail("%q is to be seen", rest)
		}
	case "found":
		n := 0
		for e := range s.resource().All("entry") {
			if e.At("search.mode").Is("match") {
				n++
			}
		}
		if strconv.Itoa(n) != rest {
			s.fail("found %d, want %s", n, rest)
		}
	case "keep":
		name, path, _ := strings.Cut(rest, " = ")
		v := s.resource().Root().At(path)
		if v.IsZero() {
			s.fail("nothing at %s to keep", path)
		}
		s.vars[name] = v.Text()
	case "has":
		path, want, _ := strings.Cut(rest, " = ")
		var got []string
		for v := range s.resource().All(path) {
			got = append(got, cmp.Or(v.Text(), string(v.Raw())))
		}
		if strings.Join(got, ", ") != want {
			s.fail("%s is %q, want %q", path, strings.Join(got, ", "), want)
		}
	case "header":
		name, want, _ := strings.Cut(rest, ": ")
		if got := s.last.header.Get(name); got != want {
			s.fail("%s is %q, want %q", name, got, want)
		}
	case "at":
		if s.last.path != rest {
			s.fail("at %s, want %s", s.last.path, rest)
		}
	case "nothing":
		if s.secret == nil {
			s.fatal("no word is secret yet")
		}
		if word := s.secret.In(s.last.body); word != "" {
			s.fail("%s is to be seen", word)
		}
	default:
		s.fatal("%q is no expectation", verb)
	}
}

// resource is the last answer as a resource.
func (s *story) resource() fhir.Resource {
	s.t.Helper()
	r, err := fhir.Parse(s.last.body)
	if err != nil {
		s.fatal("the answer is no resource: %v\n%.300s", err, s.last.body)
	}
	return r
}

// take keeps an answer, and holds it to what every answer must be.
func (s *story) take(ask string, answer *http.Response, err error) {
	s.t.Helper()
	if err != nil {
		s.fatal("%s: %v", ask, err)
	}
	s.last = readReply(s.t, ask, answer)
	s.hold(s.last)
}

func (s *story) hold(r reply) {
	s.t.Helper()
	if r.status >= 500 {
		s.t.Errorf("line %d: %s: %d\n%.500s", s.line, r.ask, r.status, r.body)
	}
	if r.header.Get("Content-Type") == "application/fhir+json; charset=utf-8" && len(r.body) > 0 {
		res, err := fhir.Parse(r.body)
		if err != nil {
			s.t.Errorf("line %d: %s: %v", s.line, r.ask, err)
			return
		}
		for _, p := range r4def.Check(res) {
			s.t.Errorf("line %d: %s: %v", s.line, r.ask, p)
		}
		if r.status >= 400 && res.Type() != "OperationOutcome" {
			s.t.Errorf("line %d: %s: a %s", s.line, r.ask, res.Type())
		}
	}
}

// braces gives the lines that "{a,b} {c,d}" stands for: each choice with each.
func braces(line string) []string {
	open := strings.IndexByte(line, '{')
	if open < 0 {
		return []string{line}
	}
	end := open + strings.IndexByte(line[open:], '}')
	var all []string
	for choice := range strings.SplitSeq(line[open+1:end], ",") {
		for _, rest := range braces(line[end+1:]) {
			all = append(all, line[:open]+choice+rest)
		}
	}
	return slices.Compact(all)
}
