package record

import (
	"fmt"
	"strings"
	"testing"

	"firebreak/inbox"
)

// What one source heaps up stands in no other's way: each comes in turn, and its
// own in order. A transaction takes no more bytes than others can wait for.
func TestWritesTakeTurnsBySource(t *testing.T) {
	of := func(source string, bytes int) *write {
		return &write{put: &putting{m: inbox.Message{Source: source, Body: make([]byte, bytes)}}}
	}
	for _, row := range []struct{ come, stand string }{
		{"a a a", "a0 a1 a2"},
		{"a a a b", "a0 b3 a1 a2"},
		{"a a a b b c", "a0 b3 c5 a1 b4 a2"},
		{"a b a b", "a0 b1 a2 b3"},
		{"b a a a b", "b0 a1 a2 b4 a3"},
	} {
		var queue []*write
		name := map[*write]string{}
		for i, source := range strings.Fields(row.come) {
			x := of(source, 1)
			name[x] = fmt.Sprint(source, i)
			queue = fairly(queue, x)
		}
		var stand []string
		for _, x := range queue {
			stand = append(stand, name[x])
		}
		if got := strings.Join(stand, " "); got != row.stand {
			t.Errorf("%s come, %s stand, want %s", row.come, got, row.stand)
		}
	}
	big := maxPutBytes/2 + 1
	for _, row := range []struct {
		sizes []int
		n     int
	}{{nil, 0}, {[]int{9 * big}, 1}, {[]int{1, 9 * big, 1}, 1}, {[]int{big, big, 1}, 1}, {[]int{big, 1, 1}, 3}} {
		var queue []*write
		for _, size := range row.sizes {
			queue = append(queue, of("a", size))
		}
		if n := firsts(queue); n != row.n {
			t.Errorf("of %v bytes %d are written at once, want %d", row.sizes, n, row.n)
		}
	}
}
