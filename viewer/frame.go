package viewer

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"firebreak/access"
	"firebreak/auth/smart"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/viewer/clinical"
	"firebreak/web"
)

//go:embed pages
var pageFiles embed.FS

// english are the words and the pages in them, the same for every Viewer.
var english = sync.OnceValues(func() (e struct {
	words words
	views map[string]*template.Template
}, err error) {
	if e.words, err = readWords("en"); err == nil {
		e.views, err = readPages(e.words)
	}
	return e, err
})

// readPages parses the templates: pages/layout holds what all pages share,
// each other folder is one page and defines "main".
func readPages(w words) (map[string]*template.Template, error) {
	layout := template.New("layout").Funcs(template.FuncMap{
		"t": func(key string, args ...any) string { return w.say(key, args...) },
	})
	if err := parseFolder(layout, "pages/layout"); err != nil {
		return nil, err
	}
	folders, err := fs.ReadDir(pageFiles, "pages")
	if err != nil {
		return nil, fmt.Errorf("viewer: %w", err)
	}
	views := map[string]*template.Template{}
	for _, f := range folders {
		if f.Name() == "layout" {
			continue
		}
		page, err := layout.Clone()
		if err != nil {
			return nil, fmt.Errorf("viewer: page %s: %w", f.Name(), err)
		}
		if err := parseFolder(page, path.Join("pages", f.Name())); err != nil {
			return nil, err
		}
		views[f.Name()] = page
	}
	return views, nil
}

var indentation = regexp.MustCompile(`\n\t+`)

// parseFolder adds a folder's templates. The indentation of their source is
// taken out here, once, and not from pages, whose texts may begin with tabs.
func parseFolder(t *template.Template, folder string) error {
	files, err := fs.Glob(pageFiles, path.Join(folder, "*.html"))
	if err != nil {
		return fmt.Errorf("viewer: %w", err)
	}
	for _, name := range files {
		source, err := fs.ReadFile(pageFiles, name)
		if err != nil {
			return fmt.Errorf("viewer: %w", err)
		}
		if _, err := t.New(path.Base(name)).Parse(indentation.ReplaceAllString(string(source), "\n")); err != nil {
			return fmt.Errorf("viewer: %s: %w", name, err)
		}
	}
	return nil
}

// frame is what surrounds every page: who reads, whose chart, how it looks.
// Page models embed it.
type frame struct {
	v       *Viewer
	now     time.Time
	session web.Session

	Page     string // folder name; also the page's title in the catalogue
	Style    string
	Script   string
	Settings settings
	Signed   bool // somebody is signed in
	Left     int  // whole seconds until the session ends unused
	Caller   access.Caller
	Self     string // this page's own address, for "stay signed in" without script

	Person  *clinical.Person // whose chart; nil outside charts
	Chart   *clinical.Chart
	Glass   record.Glass // what is open of the chart, and whether that is offered
	Doubles []string     // addresses of charts that are probably of the same person
	Gallery []smart.App  // that the reader may launch from it
	Base    string       // "/p/{h}"
	Tab     string
	Prev    string // address of the previous and next of its kind, if any
	Next    string
	Feeds   []feed
	Broken  bool // the feeds could not be asked
	Paper   bool

	patient fhir.Ref
	view    *policy.View // of the chart
	paper   string       // address of this page's print view, when it has its own
}

// feed is one line of "data up to".
type feed struct {
	Name string
	Last clinical.Time
	Late bool
}

func (v *Viewer) frame(r *http.Request, page string, caller access.Caller) *frame {
	s := web.SessionOf(r)
	f := &frame{
		v: v, now: v.Now(), session: s, Page: page, Style: v.style.path, Script: v.script.path,
		Signed: !s.Identity.IsZero(), Left: seconds(s.Left), Caller: caller, Self: r.URL.RequestURI(),
		Settings: settings{Keys: true},
	}
	if person := caller.Person(); person != "" {
		if kept, err := v.Desk.Setting(r.Context(), person); err == nil { // a page in the wrong colour is better than none
			f.Settings = readSettings(kept)
		}
	}
	return f
}

// Title is what stands in the browser's tab and history: the kind of page,
// never whose.
func (f *frame) Title() string { return f.v.words.say("title." + f.Page) }

// Behalf is whom the caller acts for, empty for oneself.
func (f *frame) Behalf() string {
	m, ok := f.Caller.OnBehalfOf()
	if !ok {
		return ""
	}
	return m.Name
}

// Home is the first page of whoever reads.
func (f *frame) Home() string {
	if !f.Signed {
		return "/"
	}
	return homeOf(f.Caller.Role())
}

// Apart tells whether the reader is at work here without opening charts.
func (f *frame) Apart() bool { return f.Home() != findPage && !f.Caller.IsZero() }

// Role is the caller's role in words.
func (f *frame) Role() string { return f.RoleWord(f.Caller.Role()) }

func (f *frame) Emergency() string { return f.v.Emergency }
func (f *frame) HelpLine() string  { return f.v.HelpLine }

// render draws a page whole, then sends it: an error leaves no half page.
func (v *Viewer) render(w http.ResponseWriter, r *http.Request, status int, page string, model any) error {
	var b bytes.Buffer
	b.Grow(32 << 10)
	if err := v.views[page].ExecuteTemplate(&b, "page", model); err != nil {
		return fmt.Errorf("viewer: page %s: %w", page, err)
	}
	return web.Write(w, r, status, "text/html; charset=utf-8", b.Bytes())
}

// readFeeds takes down how fresh the data is. The list is the same on every chart.
func (f *frame) readFeeds(all []record.Feed, err error) {
	if err != nil {
		f.Broken = true
		return
	}
	for _, x := range all {
		f.Feeds = append(f.Feeds, feed{
			Name: f.v.feedName(x.Source), Last: clinical.Moment(x.Last, f.v.Zone), Late: f.now.Sub(x.Last) > f.v.Late,
		})
	}
}

func (v *Viewer) feedName(source string) string {
	if name, ok := v.Feeds[source]; ok {
		return name
	}
	return source
}

// settings are how a person wants pages. The zero value but for Keys is the
// default.
type settings struct {
	Theme string // "", "light", "dark"; empty follows the system
	Roomy bool
	Keys  bool // keyboard shortcuts work
}

func readSettings(kept string) settings {
	q, err := url.ParseQuery(kept)
	if err != nil {
		return settings{Keys: true}
	}
	s := settings{Roomy: q.Get("density") == "roomy", Keys: q.Get("keys") != "off"}
	if t := q.Get("theme"); t == "light" || t == "dark" {
		s.Theme = t
	}
	return s
}

func (s settings) String() string {
	q := url.Values{}
	if s.Theme != "" {
		q.Set("theme", s.Theme)
	}
	if s.Roomy {
		q.Set("density", "roomy")
	}
	if !s.Keys {
		q.Set("keys", "off")
	}
	return q.Encode()
}

// Classes are those of the html element.
func (s settings) Classes() string {
	c := s.Theme
	if s.Roomy {
		c += " roomy"
	}
	return strings.TrimSpace(c)
}

// problem is the page for an error.
func (v *Viewer) problem(w http.ResponseWriter, r *http.Request, p web.Problem) {
	f := v.frame(r, "problem", access.Caller{})
	model := struct {
		*frame
		web.Problem
	}{f, p}
	if p.Reference != "" {
		model.Text = v.words.say("state.fault", p.Reference)
	}
	if err := v.render(w, r, p.Status, "problem", model); err != nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintln(w, v.words.say("state.fault", p.Reference))
	}
}

// address joins a path with query words, leaving out the empty ones.
func address(path string, query map[string]string) string {
	q := url.Values{}
	for k, x := range maps.All(query) {
		if x != "" {
			q.Set(k, x)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
