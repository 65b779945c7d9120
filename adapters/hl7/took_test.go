package hl7

import (
	"testing"
	"time"
)

// What is told of answering times is of the last thousand alone; the count is of all.
func TestTookIsOfTheLastThousand(t *testing.T) {
	var s Server
	if got := s.Took(); got != (Took{}) {
		t.Errorf("before the first: %+v", got)
	}
	for _, d := range []time.Duration{3, 1, 2} {
		s.took.add(d * time.Second)
	}
	if got := s.Took(); got.P50 != 2*time.Second || got.P99 != 3*time.Second {
		t.Errorf("of three: %+v", got)
	}
	for range 47 {
		s.took.add(time.Hour)
	}
	for n := range 1000 {
		s.took.add(time.Duration(n+1) * time.Millisecond)
	}
	if got := s.Took(); got.P50 != 500*time.Millisecond || got.P99 != 990*time.Millisecond || got.N != 1050 || got.Sum <= 47*time.Hour {
		t.Errorf("%+v", got)
	}
}
