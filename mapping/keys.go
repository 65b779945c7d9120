package mapping

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash"
	"maps"
	"sync"
	"sync/atomic"

	"firebreak/fhir"
)

// Keys makes every id that leaves this package, and knows what a site declares
// about its sources. An id is a keyed hash of what the source itself calls the
// thing, so the same fact gets the same id on every day and every node, and
// nobody without the secret can tell an id from an identifier or the other way
// round. Keys is safe for many goroutines.
type Keys struct {
	feeds atomic.Pointer[map[string]*Feed] // none of which is ever changed
	hash  sync.Pool                        // of hash.Hash, keyed with the secret
	parts parts                            // of messages, that others repeat
}

// NewKeys takes the secret, at least 16 bytes that never change while the
// record lives, and what is declared about the sources. A source that is not
// declared is read as the zero Feed says.
func NewKeys(secret []byte, feeds ...Feed) *Keys {
	key := append([]byte(nil), secret...)
	k := &Keys{}
	all := make(map[string]*Feed, len(feeds))
	k.hash.New = func() any { return hmac.New(sha256.New, key) }
	for _, f := range feeds {
		all[f.Source] = &f
	}
	k.feeds.Store(&all)
	return k
}

// Read has the messages of these sources read by other dialects from now on; one that
// is being mapped is mapped to its end by what it was begun with. One at a time may call it.
func (k *Keys) Read(dialects map[string]*Dialect) {
	all := maps.Clone(*k.feeds.Load())
	for source, d := range dialects {
		f := *k.feed(source)
		f.Dialect = d
		all[source] = &f
	}
	k.feeds.Store(&all)
}

// feed is what is declared about a source.
func (k *Keys) feed(source string) *Feed {
	if f := (*k.feeds.Load())[source]; f != nil {
		return f
	}
	return &Feed{Source: source}
}

const (
	chartBytes    = 10 // 80 bits: 16 characters
	resourceBytes = 13 // of which 100 bits are used: 20 characters
	resourceChars = 20
)

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Patient is the id of the Patient, and so of the chart, that source knows by
// value as issued by system (the assigning authority as the source writes it;
// empty when it names none): 16 characters [a-z2-7].
func (k *Keys) Patient(source, system, value string) string {
	return k.digest(chartBytes, source, "Patient", system, value)
}

// ID is the id of a resource in chart: "<chart>-" and 20 characters [a-z2-7].
// parts are what the source calls it, most significant first. They must not
// depend on the place in the message or on what else the message holds: then an
// id would tell of a neighbour that is withheld.
func (k *Keys) ID(chart, source, typ string, parts ...string) string {
	return chart + "-" + k.digest(resourceBytes, source, typ, parts...)[:resourceChars]
}

// rosterMark begins the key of a chart that is a Group and nothing else: no id has it.
const rosterMark = "~"

// roster is what follows the mark in the key of a Group's chart, which source calls so.
func (k *Keys) roster(source string, parts ...string) string {
	return k.digest(chartBytes, source, "Group", parts...)
}

// maxMembers bounds a Group, which is read and shown whole.
const maxMembers = 10_000

func overfull(group fhir.Resource) error {
	if group.Get("member").Len() > maxMembers {
		return errors.New("a Group has up to 10000 members here")
	}
	return nil
}

// digest hashes each part with its length before it, so that no two lists of
// parts run together.
func (k *Keys) digest(size int, source, typ string, parts ...string) string {
	h := k.hash.Get().(hash.Hash)
	h.Reset()
	var buf [96]byte
	write := func(s string) {
		b := binary.AppendUvarint(buf[:0], uint64(len(s)))
		h.Write(append(b, s...))
	}
	write(source)
	write(typ)
	for _, p := range parts {
		write(p)
	}
	var sum [sha256.Size]byte
	id := base32Lower.EncodeToString(h.Sum(sum[:0])[:size])
	k.hash.Put(h)
	return id
}
