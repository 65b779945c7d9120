package viewer

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"firebreak/viewer/clinical"
)

// frameSize is the drawing area of a chart, in its own units, which are CSS
// pixels at full width.
type frameSize struct {
	width, height            int
	left, right, top, bottom int // margins for the axes
	ticksX, ticksY           int
}

var (
	wide   = frameSize{width: 860, height: 280, left: 52, right: 16, top: 14, bottom: 28, ticksX: 8, ticksY: 6}
	narrow = frameSize{width: 340, height: 240, left: 44, right: 10, top: 14, bottom: 28, ticksX: 3, ticksY: 5}
)

// plot draws one series: time to scale, the reference range as it was given
// with each result, numbers as dots on a line, bounds ("<5") as open triangles
// that point where the value lies. Heavy flags are heavy marks with their
// letters beside them. Colours come from the stylesheet, so that dark and
// paper have their own.
func (f *frame) plot(s clinical.Series, size frameSize) template.HTML {
	g := newScale(s, size)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" aria-hidden="true" focusable="false">`, size.width, size.height)
	g.band(&b, s)
	g.axes(&b)
	g.line(&b, s)
	for _, r := range s.Points {
		g.mark(&b, r)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// scale places times and values.
type scale struct {
	frameSize
	from, to  time.Time
	low, high float64
	yTicks    []float64
	digits    int
}

func newScale(s clinical.Series, size frameSize) *scale {
	g := &scale{frameSize: size, from: s.Points[0].When.At, to: s.Points[len(s.Points)-1].When.At, low: math.Inf(1), high: math.Inf(-1)}
	for _, r := range s.Points {
		g.low, g.high = min(g.low, r.Value.Number), max(g.high, r.Value.Number)
	}
	g.low, g.high = withRanges(g.low, g.high, s.Points, 50)
	pad := (g.high - g.low) * 0.08
	if pad == 0 {
		pad = max(math.Abs(g.high)*0.1, 1)
	}
	if g.low >= 0 && g.low-pad < 0 {
		g.low = 0 // what cannot be negative starts at nought
	} else {
		g.low -= pad
	}
	g.high += pad
	if !g.to.After(g.from) {
		g.from, g.to = g.from.Add(-12*time.Hour), g.to.Add(12*time.Hour)
	} else {
		edge := g.to.Sub(g.from) / 50
		g.from, g.to = g.from.Add(-edge), g.to.Add(edge)
	}
	g.yTicks, g.digits = ticks(g.low, g.high, size.ticksY)
	return g
}

// withRanges widens what the values span by the edges of their reference
// ranges, so that inside and outside can be seen. An edge so far off that it
// would flatten the values (by more than the factor) is left outside.
func withRanges(low, high float64, points []*clinical.Result, factor float64) (float64, float64) {
	span, most := high-low, max(math.Abs(low), math.Abs(high))
	wide, tall := low, high
	include := func(edge float64) {
		if total := max(high, edge) - min(low, edge); span == 0 || total <= factor*span || total <= 3*most {
			wide, tall = min(wide, edge), max(tall, edge)
		}
	}
	for _, r := range points {
		n, ok := r.Normal()
		if ok && n.HasLow {
			include(n.Low)
		}
		if ok && n.HasHigh {
			include(n.High)
		}
	}
	return wide, tall
}

func (g *scale) x(t time.Time) float64 {
	return float64(g.left) + t.Sub(g.from).Seconds()/g.to.Sub(g.from).Seconds()*float64(g.width-g.left-g.right)
}

func (g *scale) y(v float64) float64 {
	return float64(g.top) + (g.high-v)/(g.high-g.low)*float64(g.height-g.top-g.bottom)
}

// band draws each result's own reference range, from halfway since the result
// before to halfway until the next: laboratories differ, and change.
func (g *scale) band(b *strings.Builder, s clinical.Series) {
	left, right := float64(g.left), float64(g.width-g.right)
	top, bottom := float64(g.top), float64(g.height-g.bottom)
	type piece struct{ x0, x1, y0, y1 float64 }
	var last piece
	flush := func() {
		if last.x1 > last.x0 && last.y1 > last.y0 {
			fmt.Fprintf(b, `<path class="r" d="M%s %sH%sV%sH%sz"/>`, px(last.x0), px(last.y0), px(last.x1), px(last.y1), px(last.x0))
		}
		last = piece{}
	}
	for i, r := range s.Points {
		n, ok := r.Normal()
		if !ok || !n.HasLow && !n.HasHigh {
			flush()
			continue
		}
		p := piece{left, right, top, bottom}
		if i > 0 {
			p.x0 = (g.x(s.Points[i-1].When.At) + g.x(r.When.At)) / 2
		}
		if i+1 < len(s.Points) {
			p.x1 = (g.x(s.Points[i+1].When.At) + g.x(r.When.At)) / 2
		}
		if n.HasHigh {
			p.y0 = clamp(g.y(n.High), top, bottom)
		}
		if n.HasLow {
			p.y1 = clamp(g.y(n.Low), top, bottom)
		}
		if last.y0 == p.y0 && last.y1 == p.y1 && last.x1 == p.x0 {
			last.x1 = p.x1
			continue
		}
		flush()
		last = p
	}
	flush()
}

// axes draws round values and dates with their lines.
func (g *scale) axes(b *strings.Builder) {
	bottom := g.height - g.bottom
	for _, v := range g.yTicks {
		y := g.y(v)
		fmt.Fprintf(b, `<path class="g" d="M%d %sH%d"/><text class="y" x="%d" y="%s">%s</text>`,
			g.left, px(y), g.width-g.right, g.left-6, px(y+4), strconv.FormatFloat(v, 'f', g.digits, 64))
	}
	fmt.Fprintf(b, `<path class="a" d="M%d %dH%d"/>`, g.left, bottom, g.width-g.right)
	for _, t := range dates(g.from, g.to, g.ticksX) {
		x := g.x(t.at)
		fmt.Fprintf(b, `<path class="a" d="M%s %dv4"/>`, px(x), bottom)
		half := float64(len(t.text)) * 3.4 // about half as wide as the text is drawn
		if x-half > 0 && x+half < float64(g.width) {
			fmt.Fprintf(b, `<text x="%s" y="%d">%s</text>`, px(x), bottom+17, t.text)
		}
	}
}

// line joins exact numbers; a bound interrupts it, for between it and its
// neighbours nothing is known.
func (g *scale) line(b *strings.Builder, s clinical.Series) {
	var d strings.Builder
	n := 0
	flush := func() {
		if n > 1 {
			fmt.Fprintf(b, `<path class="l" d="M%s"/>`, d.String())
		}
		d.Reset()
		n = 0
	}
	for _, r := range s.Points {
		if !r.Value.Exact() {
			flush()
			continue
		}
		if n > 0 {
			d.WriteByte('L')
		}
		d.WriteString(px(g.x(r.When.At)) + " " + px(g.y(r.Value.Number)))
		n++
	}
	flush()
}

// mark draws one result.
func (g *scale) mark(b *strings.Builder, r *clinical.Result) {
	x, y := g.x(r.When.At), g.y(r.Value.Number)
	class := strings.TrimSpace("p " + r.Flag().Weight.Class())
	switch {
	case strings.HasPrefix(r.Value.Compare, "<"):
		fmt.Fprintf(b, `<path class="%s o" d="M%s %sl-5.5 -10h11z"/>`, class, px(x), px(y))
	case strings.HasPrefix(r.Value.Compare, ">"):
		fmt.Fprintf(b, `<path class="%s o" d="M%s %sl-5.5 10h11z"/>`, class, px(x), px(y))
	case r.Flag().Weight == clinical.Critical:
		fmt.Fprintf(b, `<path class="%s" d="M%s %sh9v9h-9z"/>`, class, px(x-4.5), px(y-4.5))
	case r.Status.Preliminary():
		fmt.Fprintf(b, `<circle class="%s o" cx="%s" cy="%s" r="4"/>`, class, px(x), px(y))
	default:
		fmt.Fprintf(b, `<circle class="%s" cx="%s" cy="%s" r="4"/>`, class, px(x), px(y))
	}
	if w := r.Flag(); w.Weight > clinical.Plain {
		dy := -9.0
		if y < float64(g.top)+14 {
			dy = 19
		}
		b.WriteString(string(html(`<text class="`+strings.TrimSpace("t "+w.Weight.Class())+`" x="`+px(x)+`" y="`+px(y+dy)+`">`, w.Letters, `</text>`)))
	}
}

// date is one tick of the time axis.
type date struct {
	at   time.Time
	text string
}

// dates are round dates between from and to, at most about n.
func dates(from, to time.Time, n int) []date {
	span := to.Sub(from)
	day := 24 * time.Hour
	steps := []struct {
		about               time.Duration
		years, months, days int
		hours               int
		layout              string
	}{
		{3 * time.Hour, 0, 0, 0, 3, "02-Jan 15:04"}, {6 * time.Hour, 0, 0, 0, 6, "02-Jan 15:04"}, {12 * time.Hour, 0, 0, 0, 12, "02-Jan 15:04"},
		{day, 0, 0, 1, 0, "02-Jan"}, {2 * day, 0, 0, 2, 0, "02-Jan"}, {7 * day, 0, 0, 7, 0, "02-Jan"}, {14 * day, 0, 0, 14, 0, "02-Jan"},
		{30 * day, 0, 1, 0, 0, "Jan-2006"}, {91 * day, 0, 3, 0, 0, "Jan-2006"}, {182 * day, 0, 6, 0, 0, "Jan-2006"},
		{365 * day, 1, 0, 0, 0, "2006"}, {730 * day, 2, 0, 0, 0, "2006"}, {1826 * day, 5, 0, 0, 0, "2006"}, {3652 * day, 10, 0, 0, 0, "2006"},
	}
	step := steps[len(steps)-1]
	for _, s := range steps {
		room := n
		if s.hours > 0 {
			room = n * 5 / 8 // a time of day is a longer text
		}
		if int(span/s.about) <= room {
			step = s
			break
		}
	}
	var at time.Time
	switch {
	case step.years > 0:
		at = time.Date(from.Year()/step.years*step.years, 1, 1, 0, 0, 0, 0, from.Location())
	case step.months > 0:
		at = time.Date(from.Year(), time.Month((int(from.Month())-1)/step.months*step.months+1), 1, 0, 0, 0, 0, from.Location())
	default:
		at = time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, from.Location())
	}
	var all []date
	for ; !at.After(to) && len(all) < 3*n; at = at.AddDate(step.years, step.months, step.days).Add(time.Duration(step.hours) * time.Hour) {
		if !at.Before(from) {
			all = append(all, date{at, at.Format(step.layout)})
		}
	}
	return all
}
