package label

import (
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/internal/corpus"
)

// row is one line of the terminology folder.
type row struct {
	file  string // "hiv", "negative", "tricky-dev"
	cells map[string]string
	model obj
	want  Label // "" for a negative
	kind  string
	fold  int
	finds []int32 // phrases that stand in its text
}

const folds = 10

// theRows reads the whole folder; rows of one display share a fold, so that a
// drug or disease under two codes is never half seen.
func theRows(t testing.TB, r *Rules) []row {
	files, err := filepath.Glob(corpus.Dir(t, "terminology", "*.csv"))
	if err != nil || len(files) < 12 {
		t.Fatalf("code lists: %v %v", files, err)
	}
	var all []row
	for _, path := range files {
		file := strings.TrimSuffix(filepath.Base(path), ".csv")
		for _, cells := range table(t, filepath.Base(path)) {
			x := row{file: file, cells: cells}
			text := cells["display"]
			switch {
			case strings.HasPrefix(file, "tricky"):
				text = cells["text"]
				if x.model = tricky(cells); x.model == nil {
					continue
				}
				x.kind = "tricky positive"
				if x.want = Label(cells["category"]); x.want == "none" {
					x.want, x.kind = "", "tricky negative"
				}
			case file == "negative":
				x.model, x.kind = listed(cells), "negative"
			default:
				x.model, x.want, x.kind = listed(cells), Label(cells["category"]), cells["tier"]
			}
			h := fnv.New32a()
			h.Write([]byte(strings.ToLower(text)))
			if text == "" {
				h.Write([]byte(cells["code"]))
			}
			x.fold = int(h.Sum32() % folds)
			x.finds = r.match.occurs(text)
			all = append(all, x)
		}
	}
	return all
}

// occurs gives the phrases of the rules that stand in a text, whatever their
// conditions.
func (m *matcher) occurs(text string) []int32 {
	var s scratch
	var out []int32
	take := func(w *words) {
		var v verdict
		m.find(&s, w, 0, &v)
		for _, f := range s.found {
			if !slices.Contains(out, f.phrase) {
				out = append(out, f.phrase)
			}
		}
	}
	s.words.cut(text, false)
	take(&s.words)
	s.joined.cut(text, true)
	take(&s.joined)
	return out
}

// without is the rules as if the rows of one fold had never been seen: no code
// below a category that is listed by itself and one of theirs, and no phrase that
// stands in
// their texts and in no other row's. A row that is a bare code takes none with
// it: nothing but a list knows a bare code. strict takes single words out as
// well, which anyone knows who never saw the folder; what is reached then is a
// floor.
func without(t testing.TB, r *Rules, rows []row, fold int, strict bool) *Rules {
	seen := map[int32]bool{} // phrases of other folds' rows
	codes := map[string]bool{}
	for _, x := range rows {
		if x.fold == fold {
			if code := x.cells["code"]; code != "" && x.cells["display"]+x.cells["text"] != "" {
				codes[tidy(code)] = true
			}
			continue
		}
		for _, p := range x.finds {
			seen[p] = true
		}
	}
	gone := map[int32]bool{}
	for _, x := range rows {
		if x.fold != fold {
			continue
		}
		for _, p := range x.finds {
			if !seen[p] && (strict || len(r.match.all[p].words) > 1) {
				gone[p] = true
			}
		}
	}
	isGone := func(p int32) bool { return gone[p] }
	m := &matcher{classes: r.match.classes, exact: r.match.exact, prefix: r.match.prefix, suffix: r.match.suffix, prefixes: r.match.prefixes, suffixes: r.match.suffixes,
		near: r.match.near, fuzzy: r.match.fuzzy, phrases: r.match.phrases, all: r.match.all, starts: r.match.starts, lone: r.match.lone, neutral: r.match.neutral, org: r.match.org,
		rules: slices.Clone(r.match.rules), byPhrase: slices.Clone(r.match.byPhrase), harmless: slices.Clone(r.match.harmless)}
	m.free = make(chan *scratch, 1)
	for p := range gone {
		m.byPhrase[p], m.harmless[p] = nil, false
	}
	for i := range m.rules {
		x := &m.rules[i]
		had := len(x.with) > 0
		x.with = slices.DeleteFunc(slices.Clone(x.with), isGone)
		x.without = slices.DeleteFunc(slices.Clone(x.without), isGone)
		x.except = slices.DeleteFunc(slices.Clone(x.except), isGone)
		if had && len(x.with) == 0 {
			x.in = 0
		}
	}
	c := newCodes()
	c.system, c.known = r.codes.system, r.codes.known
	for kind, spans := range r.codes.ranges {
		c.ranges[kind] = slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.from == s.to && len(s.from) > 3 && codes[s.from] })
	}
	for code, labels := range r.codes.loinc {
		if !codes[tidy(code)] {
			c.loinc[code] = labels
		}
	}
	return &Rules{version: r.version, match: m, codes: c, texts: newCache[verdict](cacheSize), concepts: newCache[verdict](cacheSize), seen: newCache[finding](seenSize)}
}

// tally counts by kind of row, and by kind and category.
type tally struct {
	order []string
	score map[string]*score
}

func (c *tally) add(ok bool, keys ...string) {
	if c.score == nil {
		c.score = map[string]*score{}
	}
	for _, key := range keys {
		s := c.score[key]
		if s == nil {
			s = &score{}
			c.score[key] = s
			c.order = append(c.order, key)
		}
		s.all++
		if ok {
			s.hit++
		}
	}
}

func (c *tally) row(t testing.TB, r *Rules, x *row) {
	got := r.Label("lab", []fhir.Resource{resource(t, x.model)})[0]
	var miss string
	if x.want == "" {
		withheld := slices.ContainsFunc(got.labels, func(l Label) bool { return l != Unclassified })
		c.add(withheld, x.kind+" withheld")
		c.add(len(got.labels) > 0, x.kind+" held for patients")
		if withheld {
			miss = "WITHHELD"
		}
	} else {
		ok := got.Has(x.want)
		c.add(ok, x.kind, x.kind+" "+string(x.want))
		switch {
		case !ok && (x.want == HIV || x.want == Reproductive || x.want == Cancer) && x.kind == "tricky positive":
			c.add(got.Has(Unclassified), "its misses in hiv, reproductive, cancer: held as unclassified")
		}
		if !ok {
			miss = "MISSED"
		}
	}
	if miss != "" && os.Getenv("LABEL_MISSES") != "" {
		t.Log(miss, x.file, x.cells["tier"], x.cells["context"], x.cells["code"], x.cells["display"]+x.cells["text"], got.labels, got.reasons)
	}
}

// TestHeldOut measures what the rules reach on codes and wordings that they
// were not written from: the folder in ten parts, each judged by the rules less
// what only that part could have taught. The third column is a floor: single
// words are taken out too, though most of them (kaposi, ibalizumab) are known
// to whoever never saw the folder.
//
// Limits: issue 3 and NOLEAK.md, "Recogniser acceptance".
func TestHeldOut(t *testing.T) {
	r := rules(t)
	rows := theRows(t, r)
	var whole, held, floor tally
	for i := range rows {
		whole.row(t, r, &rows[i])
	}
	for fold := range folds {
		less, least := without(t, r, rows, fold, false), without(t, r, rows, fold, true)
		for i := range rows {
			if rows[i].fold == fold {
				held.row(t, less, &rows[i])
				floor.row(t, least, &rows[i])
			}
		}
	}
	slices.Sort(held.order)
	t.Logf("%-62s %6s %9s %9s %9s", "", "rows", "all", "held out", "floor")
	for _, key := range held.order {
		h := held.score[key]
		t.Logf("%-62s %6d %8.2f%% %8.2f%% %8.2f%%", key, h.all, whole.score[key].percent(), h.percent(), floor.score[key].percent())
	}
	// What is missed in the whole are rows that are no such thing: ulcers and
	// abscesses listed for drug use, Vincent's infections for STI.
	for key, least := range map[string]float64{"core": 99.3, "broad": 99, "tricky positive": 100, "core hiv": 100, "core reproductive": 100, "core cancer": 99.5} {
		if got := whole.score[key].percent(); got < least {
			t.Errorf("the whole: %s: %.2f%%, was %.2f%%", key, got, least)
		}
	}
	for _, key := range []string{"negative held for patients", "tricky negative held for patients"} {
		if s := whole.score[key]; s.hit > 0 {
			t.Errorf("the whole: %d of %s", s.hit, key)
		}
	}
	for key, least := range map[string]float64{"core": 99, "broad": 90, "tricky positive": 95} {
		if got := held.score[key].percent(); got < least {
			t.Errorf("%s: %.2f%%, must be %.0f%%", key, got, least)
		}
	}
	for key, most := range map[string]float64{"negative withheld": 1, "tricky negative withheld": 5} {
		if got := held.score[key].percent(); got > most {
			t.Errorf("%s: %.2f%%, at most %.0f%%", key, got, most)
		}
	}
	if s := held.score["its misses in hiv, reproductive, cancer: held as unclassified"]; s != nil && s.hit != s.all {
		t.Errorf("%d of %d tricky misses in hiv, reproductive or cancer are open to patients", s.all-s.hit, s.all)
	}
}
