package proof_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// person looks for somebody at the pages.
func (g *asker) person(*audience) question {
	if g.IntN(10) == 0 {
		return question{target: "/find"}
	}
	p := g.world.people[g.IntN(len(g.world.people))]
	form := url.Values{}
	switch g.IntN(6) {
	case 0, 1:
		form.Set("number", p.number)
	case 2:
		form.Set("number", p.phn[:4]+" "+p.phn[4:])
	case 3:
		form.Set("number", g.word(func(w *words) []string { return w.codes }, "70017"))
	default:
		form.Set("family", strings.ToLower(p.family))
		form.Set("born", p.born[:4]+"-"+p.born[4:6]+"-"+p.born[6:])
	}
	return question{method: http.MethodPost, target: "/find", form: form.Encode()}
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// chartPage asks for pages of charts by their addresses, found in answers or
// computed in the world where nothing is withheld.
func chartPage(tail string, weight int, queries ...string) route {
	template := "/p/{h}" + tail
	address := regexp.MustCompile("^" + variable.ReplaceAllString(template, `[^/?]+`) + `(\?.*)?$`)
	return route{template, weight, true, func(g *asker, who *audience) question {
		from := func(w *words) []string { return w.pages[who.name] }
		fits := func(w *words) []string {
			var all []string
			for _, a := range from(w) {
				if address.MatchString(a) {
					all = append(all, a)
				}
			}
			return all
		}
		target := g.word(fits, "")
		if target == "" { // from parts of other addresses
			target = template
			for _, part := range variable.FindAllString(template, -1) {
				value := "0"
				if parts := strings.Split(g.word(from, "/p/none"), "/"); part != "{n:[0-9]+}" && len(parts) > 2 {
					value, _, _ = strings.Cut(parts[2], "?")
				}
				target = strings.Replace(target, part, value, 1)
			}
		}
		if len(queries) > 0 && g.IntN(3) == 0 {
			query := pick(g, queries...)
			if strings.HasSuffix(query, "=") {
				query += url.QueryEscape(g.word(func(w *words) []string { return w.texts }, "sodium"))
			}
			target, _, _ = strings.Cut(target, "?")
			target += "?" + query
		}
		return question{target: target}
	}}
}

// posting sends forms to a page, none of them complete: what a complete one
// opens is another matter, see TestGlass.
func posting(r route, forms ...url.Values) route {
	get := r.ask
	r.ask = func(g *asker, who *audience) question {
		q := get(g, who)
		q.method, q.form = http.MethodPost, pick(g, forms...).Encode()
		return q
	}
	return r
}
