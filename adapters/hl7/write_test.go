package hl7

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestWriterWrites(t *testing.T) {
	var w Writer
	w.Segment("MSH", Fields{3: "GW", 9: Parts{"ADT", "A08", "ADT_A01"}, 10: "c1", 11: "P", 12: "2.5.1"})
	w.Segment("PID", Fields{3: Reps{Parts{"1|2", "", "", Parts{"A&B", "1.2.3", "ISO"}, "MR"}, Parts{}, "7"}, 5: Parts{"Roe", "Jane", "", ""}, 8: "", 9: nil, 11: Parts{"a\nb"}})
	w.Segment("EVN", nil)
	const want = "MSH|^~\\&|GW||||||ADT^A08^ADT_A01|c1|P|2.5.1||||||UNICODE UTF-8\r" +
		"PID|||1\\F\\2^^^A\\T\\B&1.2.3&ISO^MR~~7||Roe^Jane||||||a\\.br\\b\rEVN|\r"
	if got := string(w.Bytes()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Whatever is written is read again, letter for letter, at its place.
func TestWrittenIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []rune("ab|^~\\&#\"é日\n\t\rFX.\x00\x0b\x1c\x7f ")
	text := func() string {
		s := ""
		for range r.IntN(6) {
			s += string(letters[r.IntN(len(letters))])
		}
		return s
	}
	for range 2000 {
		want := map[[4]int]string{}
		fields := Fields{}
		for f := range 3 {
			var reps Reps
			for i := range 2 {
				var parts Parts
				for c := range 3 {
					var subs Parts
					for s := range 2 {
						x := text()
						want[[4]int{f + 1, i, c + 1, s + 1}] = x
						subs = append(subs, x)
					}
					parts = append(parts, subs)
				}
				reps = append(reps, parts)
			}
			fields[f+1] = reps
		}
		var w Writer
		w.Segment("MSH", Fields{9: "X", 10: text()})
		w.Segment("ZZZ", fields)
		m, err := Parse(w.Bytes())
		if err != nil {
			t.Fatalf("%q: %v", w.Bytes(), err)
		}
		for at, x := range want {
			if got := m.Segment("ZZZ").Field(at[0]).Rep(at[1]).Component(at[2]).Sub(at[3]).String(); got != x {
				t.Fatalf("%s: got %q, want %q, in %q", fmt.Sprint(at), got, x, w.Bytes())
			}
		}
	}
}
