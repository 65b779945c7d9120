package viewer

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebreak/viewer/clinical"
)

// Size of a sparkline in CSS pixels, and how many results it shows.
const (
	sparkWidth, sparkHeight = 76, 20
	sparkPoints             = 20
)

// Spark draws the last numbers of a test: a grey band for the reference range
// of the newest, a line, a dot at its end. It is hidden from people who hear
// the page, who get the last three numbers instead.
func (f *frame) Spark(t *clinical.Test) template.HTML {
	all := t.Series()
	if len(all) == 0 || len(all[0].Points) < 2 {
		return ""
	}
	points := all[0].Points
	points = points[max(0, len(points)-sparkPoints):]
	low, high := math.Inf(1), math.Inf(-1)
	for _, r := range points {
		low, high = min(low, r.Value.Number), max(high, r.Value.Number)
	}
	band, banded := points[len(points)-1].Normal()
	banded = banded && (band.HasLow || band.HasHigh)
	low, high = withRanges(low, high, points[len(points)-1:], 20)
	if high == low {
		high, low = high+1, low-1
	}
	y := func(v float64) float64 { return 2 + (high-v)/(high-low)*(sparkHeight-4) }
	first, last := points[0].When.At, points[len(points)-1].When.At
	x := func(r *clinical.Result) float64 {
		if !last.After(first) {
			return sparkWidth - 3
		}
		return 3 + r.When.At.Sub(first).Seconds()/last.Sub(first).Seconds()*(sparkWidth-6)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="sp" width="%d" height="%d" aria-hidden="true" focusable="false">`, sparkWidth, sparkHeight)
	if banded {
		top, bottom := 0.0, float64(sparkHeight)
		if band.HasHigh {
			top = clamp(y(band.High), 0, sparkHeight)
		}
		if band.HasLow {
			bottom = clamp(y(band.Low), 0, sparkHeight)
		}
		if bottom > top {
			fmt.Fprintf(&b, `<path class="r" d="M0 %sH%dV%sH0z"/>`, px(top), sparkWidth, px(bottom))
		}
	}
	b.WriteString(`<path class="l" d="M`)
	for i, r := range points {
		if i == 1 {
			b.WriteByte('L')
		} else if i > 1 {
			b.WriteByte(' ')
		}
		b.WriteString(px(x(r)) + " " + px(y(r.Value.Number)))
	}
	end := points[len(points)-1]
	fmt.Fprintf(&b, `"/><circle cx="%s" cy="%s" r="2.5"/></svg>`, px(x(end)), px(y(end.Value.Number)))
	return template.HTML(b.String()) + html(`<span class="v">`, f.Course(t), `</span>`)
}

// Course says in words what a sparkline shows: "Rising: 3.9, 4.4, 6.2".
func (f *frame) Course(t *clinical.Test) string {
	course, last := t.Course()
	if course == clinical.NoCourse {
		return ""
	}
	texts := make([]string, len(last))
	for i, r := range last {
		texts[i] = r.Value.Text
	}
	key := [...]string{"", "course.rising", "course.falling", "course.steady", "course.varying"}[course]
	return f.v.words.say(key, strings.Join(texts, ", "))
}

// px writes a coordinate with one decimal at most.
func px(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

// ticks are round numbers that cover low to high, about n of them.
func ticks(low, high float64, n int) (at []float64, digits int) {
	if high <= low {
		return []float64{low}, 0
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	digits = max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	for v := math.Ceil(low/step-1e-9) * step; v <= high+step*1e-9; v += step {
		at = append(at, v)
	}
	return slices.Clip(at), digits
}
