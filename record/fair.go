package record

import "slices"

// maxPutBytes bounds the messages of one transaction, but for a single larger one:
// so many are on disk before whoever waits behind them is.
const maxPutBytes = 4 << 20

// source is whose a write is; what nobody sent is the record's own.
func (x *write) source() string {
	switch {
	case x.put != nil:
		return x.put.m.Source
	case x.commit != nil:
		return x.commit.source
	}
	return ""
}

// fairly puts a write into a queue: behind the first of each source if it is the
// first of its own, behind their seconds if it is the second. So what one source
// heaps up, no other waits for; a source's own writes stay in order.
func fairly(queue []*write, x *write) []*write {
	mine := 0
	for _, q := range queue {
		if q.source() == x.source() {
			mine++
		}
	}
	if mine < len(queue) {
		turns := map[string]int{}
		for i, q := range queue {
			if turns[q.source()] > mine {
				return slices.Insert(queue, i, x)
			}
			turns[q.source()]++
		}
	}
	return append(queue, x)
}

// firsts is how many of the queue's first writes one transaction takes.
func firsts(queue []*write) (n int) {
	for bytes := 0; n < len(queue) && n < maxGroup; n++ {
		if p := queue[n].put; p != nil {
			if bytes += len(p.m.Body); n > 0 && bytes > maxPutBytes {
				return n
			}
		}
	}
	return n
}
