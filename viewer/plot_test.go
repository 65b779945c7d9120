package viewer

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/viewer/clinical"
)

// Whatever the numbers are, a chart stays in its frame, and no coordinate is
// anything but a number.
func TestChartsStayInTheirFrame(t *testing.T) {
	f := &frame{v: &Viewer{words: words{}}, now: noon}
	coordinate := regexp.MustCompile(`(?:cx|x)="(-?[0-9.]+)"[^>]*?(?:cy|y)="(-?[0-9.]+)"`)
	rapid.Check(t, func(rt *rapid.T) {
		var s clinical.Series
		when := noon
		for range rapid.IntRange(1, 40).Draw(rt, "n") {
			when = when.Add(time.Duration(rapid.Int64Range(0, int64(3000*time.Hour)).Draw(rt, "gap")))
			r := &clinical.Result{When: clinical.ParseTime(when.Format(time.RFC3339))}
			r.Value = clinical.Value{Number: rapid.Float64Range(-1e6, 1e9).Draw(rt, "value"), Numeric: true, Compare: rapid.SampledFrom([]string{"", "", "<", ">="}).Draw(rt, "bound")}
			if rapid.Bool().Draw(rt, "range") {
				r.Ranges = []clinical.Range{{Low: rapid.Float64Range(-1e3, 1e3).Draw(rt, "low"), High: rapid.Float64Range(1e3, 1e6).Draw(rt, "high"), HasLow: true, HasHigh: rapid.Bool().Draw(rt, "has")}}
			}
			s.Points = append(s.Points, r)
		}
		for _, size := range []frameSize{wide, narrow} {
			svg := string(f.plot(s, size))
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") || strings.Count(svg, "<") != strings.Count(svg, ">") {
				rt.Fatalf("not a drawing: %s", svg)
			}
			for _, m := range coordinate.FindAllStringSubmatch(svg, -1) {
				x, _ := strconv.ParseFloat(m[1], 64)
				y, _ := strconv.ParseFloat(m[2], 64)
				if x < 0 || x > float64(size.width) || y < 0 || y > float64(size.height) {
					rt.Fatalf("(%v, %v) lies outside of %d by %d", x, y, size.width, size.height)
				}
			}
			if n := strings.Count(svg, `class="p`); n != len(s.Points) {
				rt.Fatalf("%d marks for %d results", n, len(s.Points))
			}
		}
		spark := string(f.Spark(&clinical.Test{Results: reversed(s.Points)}))
		if strings.Contains(spark, "NaN") || strings.Contains(spark, "Inf") {
			rt.Fatalf("not a sparkline: %s", spark)
		}
	})
}

func reversed(points []*clinical.Result) []*clinical.Result {
	all := make([]*clinical.Result, 0, len(points))
	for i := range points {
		all = append(all, points[len(points)-1-i])
	}
	return all
}

// Each kind of result has its own mark: letters and shape before colour.
func TestMarks(t *testing.T) {
	f := &frame{v: &Viewer{words: words{}}, now: noon}
	result := func(day int, value float64, change func(*clinical.Result)) *clinical.Result {
		r := &clinical.Result{When: clinical.ParseTime(noon.AddDate(0, 0, day).Format(time.RFC3339)), Value: clinical.Value{Number: value, Numeric: true}}
		r.Ranges = []clinical.Range{{Low: 3, High: 5, HasLow: true, HasHigh: true}}
		change(r)
		return r
	}
	flagged := func(letters string, w clinical.Weight) func(*clinical.Result) {
		return func(r *clinical.Result) { r.Flags = []clinical.Flag{{Letters: letters, Weight: w}} }
	}
	nothing := func(*clinical.Result) {}
	rows := []struct {
		name   string
		change func(*clinical.Result)
		has    string
	}{
		{"a plain number is a dot", nothing, `<circle class="p" `},
		{"a critical one is a square with its letters", flagged("HH", clinical.Critical), `h9v9h-9z"/><text class="t crit"`},
		{"letters stand beside the mark as sent", flagged("H*", clinical.Critical), `>H*</text>`},
		{"letters cannot become markup", flagged("<b>", clinical.Abnormal), `>&lt;b&gt;</text>`},
		{"a bound is an open triangle at its number", func(r *clinical.Result) { r.Value.Compare = "<" }, `<path class="p o" d="M`},
		{"a preliminary one is an open circle", func(r *clinical.Result) { r.Status = "preliminary" }, `<circle class="p o"`},
	}
	for _, row := range rows {
		s := clinical.Series{Points: []*clinical.Result{result(-2, 4, nothing), result(-1, 6, row.change), result(0, 4, nothing)}}
		if svg := string(f.plot(s, wide)); !strings.Contains(svg, row.has) {
			t.Errorf("%s: no %s in %s", row.name, row.has, svg)
		}
	}
	// The reference band is the one given with each result.
	s := clinical.Series{Points: []*clinical.Result{result(-2, 4, nothing), result(-1, 4, func(r *clinical.Result) { r.Ranges[0].High = 5.5 }), result(0, 4, nothing)}}
	if n := strings.Count(string(f.plot(s, wide)), `class="r"`); n != 3 {
		t.Errorf("%d bands for ranges that change twice", n)
	}
	s.Points[1].Ranges = nil
	if n := strings.Count(string(f.plot(s, wide)), `class="r"`); n != 2 {
		t.Errorf("%d bands around a result without a range", n)
	}
	// A bound breaks the line: between it and its neighbours nothing is known.
	s = clinical.Series{Points: []*clinical.Result{result(-3, 4, nothing), result(-2, 4, nothing), result(-1, 5, func(r *clinical.Result) { r.Value.Compare = ">" }), result(0, 4, nothing)}}
	if n := strings.Count(string(f.plot(s, wide)), `class="l"`); n != 1 {
		t.Errorf("%d lines around a bound", n)
	}
}

func TestTicks(t *testing.T) {
	for _, row := range []struct {
		low, high float64
		want      string
	}{{3.1, 6.4, "4 5 6"}, {0, 31, "0 10 20 30"}, {98, 104, "98 100 102 104"}, {-3, 3, "-2 0 2"}, {0.001, 0.0042, "0.001 0.002 0.003 0.004"}} {
		at, digits := ticks(row.low, row.high, 5)
		var got []string
		for _, v := range at {
			got = append(got, strconv.FormatFloat(v+0, 'f', digits, 64))
		}
		if s := strings.Join(got, " "); strings.ReplaceAll(s, "-0 ", "0 ") != row.want {
			t.Errorf("ticks(%v, %v) = %s, want %s", row.low, row.high, s, row.want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		low := rapid.Float64Range(-1e9, 1e9).Draw(rt, "low")
		high := low + math.Abs(rapid.Float64Range(1e-6, 1e9).Draw(rt, "span"))
		if at, _ := ticks(low, high, 6); len(at) > 8 {
			rt.Fatalf("%d ticks", len(at))
		}
	})
}

func TestDatesOfTheAxis(t *testing.T) {
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	for _, row := range []struct{ from, to, want string }{
		{"2026-11-01", "2026-11-05", "01-Nov 02-Nov 03-Nov 04-Nov 05-Nov"},
		{"2026-01-10", "2026-06-20", "Feb-2026 Mar-2026 Apr-2026 May-2026 Jun-2026"},
		{"2021-06-01", "2026-11-22", "2022 2023 2024 2025 2026"},
		{"1950-01-01", "2026-11-22", "1950 1960 1970 1980 1990 2000 2010 2020"},
	} {
		var got []string
		for _, d := range dates(day(row.from), day(row.to), 8) {
			got = append(got, d.text)
		}
		if s := strings.Join(got, " "); s != row.want {
			t.Errorf("%s to %s: %s, want %s", row.from, row.to, s, row.want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		from := day("1900-01-01").Add(time.Duration(rapid.Int64Range(0, 1e18).Draw(rt, "from")) * 4)
		to := from.Add(time.Duration(rapid.Int64Range(1, 4e18).Draw(rt, "span")))
		if n := len(dates(from, to, 8)); n > 24 {
			rt.Fatalf("%d dates", n)
		}
	})
}
