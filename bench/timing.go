package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/hospital"
	"firebreak/inbox"
	"firebreak/mapping"
)

// rounds is how often each of two things is asked for.
const rounds = 5000

// timing holds how long answers take to what they may depend on: a resource
// that is withheld is refused as fast as one that never was, and counting takes
// as long with 500 withheld results in the chart as with none. Who has the key
// knows the ids of what is withheld; the bench has it.
func (b *bench) timing(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "timing")
	if err := os.RemoveAll(filepath.Join(b.dir, "timing")); err != nil {
		return err
	}
	s, err := b.start(ctx, "timing")
	if err != nil {
		return err
	}
	key, err := os.ReadFile(filepath.Join(s.dir, "key"))
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(hospital.Zone)
	if err != nil {
		return err
	}
	keys := mapping.NewKeys(key, mapping.Feed{Source: "general-hospital", Zone: zone})
	type person struct {
		number           string
		harmless, secret int
	}
	people := []person{{"NONE", 50, 0}, {"SOME", 50, 500}, {"ONLY", 0, 20}}
	messages := map[string][][]byte{}
	for p, x := range people {
		for k := range x.harmless {
			messages[x.number] = append(messages[x.number], result(fmt.Sprintf("%s%d", x.number, k), x.number, p, k, 1, day.AddDate(0, 0, k)))
		}
		for k := range x.secret {
			m := strings.NewReplacer("24321-2^Basic metabolic panel", "X^HIV screen", "2823-3^Potassium", "56888-1^HIV 1+2 Ab+HIV1 p24 Ag").
				Replace(string(result(fmt.Sprintf("%sS%d", x.number, k), x.number, p, 1000+k, 1, day.AddDate(0, 0, k))))
			messages[x.number] = append(messages[x.number], []byte(m))
		}
	}
	var all [][]byte
	for _, x := range people {
		all = append(all, messages[x.number]...)
	}
	if _, _, err := s.send(ctx, b.connections, len(all), hl7.Messages("timing", all...)); err != nil {
		return err
	}
	if err := s.login(); err != nil {
		return err
	}
	ids := func(number, typ string, from int) (paths []string, err error) { // of a person's messages
		for i, m := range messages[number][from:] {
			r, err := mapping.Map(keys, inbox.Message{Source: "general-hospital", Kind: inbox.HL7v2, ControlID: fmt.Sprint(i), Received: time.Now(), Body: m})
			if err != nil {
				return nil, err
			}
			for _, x := range r.Resources {
				if x.Ref().Type == typ && (typ == "Observation" || i == 0) {
					paths = append(paths, "/fhir/"+x.Ref().String())
				}
			}
		}
		return paths, nil
	}
	withheld, err := ids("SOME", "Observation", 50)
	if err != nil {
		return err
	}
	alone, err := ids("ONLY", "Patient", 0)
	if err != nil {
		return err
	}
	never := func(like []string) (paths []string) { // ids of the same form that nothing has
		for i, p := range like {
			ref, _ := fhir.ParseRef(strings.TrimPrefix(p, "/fhir/"))
			other := []byte(ref.ID)
			for k := 1; k <= 6; k++ {
				other[len(other)-k] = "abcdefghijklmnop"[(i>>k+3*k)%16]
			}
			paths = append(paths, "/fhir/"+ref.Type+"/"+string(other))
		}
		return paths
	}
	strangers := make([]string, len(withheld)) // in charts that never were
	for i, p := range withheld {
		chart, rest, _ := strings.Cut(strings.TrimPrefix(p, "/fhir/Observation/"), "-")
		strangers[i] = "/fhir/Observation/" + strings.Repeat("a", 4) + chart[4:] + "-" + rest
	}
	patient := func(number string) (string, error) {
		paths, err := ids(number, "Patient", 0)
		if err != nil || len(paths) == 0 {
			return "", fmt.Errorf("no patient %s: %v", number, err)
		}
		return strings.TrimPrefix(paths[0], "/fhir/Patient/"), nil
	}
	none, err := patient("NONE")
	if err != nil {
		return err
	}
	some, err := patient("SOME")
	if err != nil {
		return err
	}
	const count = "/fhir/Observation?_summary=count&patient="
	for _, c := range []struct {
		what   string
		a, b   []string
		status int
	}{
		{"withheld result, one that never was", withheld, never(withheld), http.StatusNotFound},
		{"withheld result, one in nobody's chart", withheld, strangers, http.StatusNotFound},
		{"patient known from withheld results alone, nobody", alone, never(alone), http.StatusNotFound},
		{"count over 500 withheld results, over none", []string{count + some}, []string{count + none}, http.StatusOK},
	} {
		if err := b.alike(s, c.what, c.a, c.b, c.status); err != nil {
			return err
		}
	}
	return s.stop()
}

// alike asks for two kinds of thing in turns, by chance, and holds the times to
// NOLEAK's limits: medians that differ by less than 5% and 0.2 ms, and no
// threshold on a single time that tells the two apart in 55 of 100 cases.
func (b *bench) alike(s *server, what string, first, second []string, status int) error {
	conn, err := net.Dial("tcp", s.address())
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var times [2][]time.Duration
	chance := rand.New(rand.NewPCG(1, 2))
	for n := range rounds + 200 {
		order := [2]int{n % 2, 1 - n%2}
		if chance.IntN(2) == 0 {
			order = [2]int{1 - n%2, n % 2}
		}
		for _, k := range order {
			paths := [2][]string{first, second}[k]
			text := request(s.address(), paths[n%len(paths)], s.token)
			begin := time.Now()
			if _, err := conn.Write(text); err != nil {
				return err
			}
			got, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, got.Body); err != nil {
				return err
			}
			took := time.Since(begin)
			got.Body.Close()
			if got.StatusCode != status {
				return fmt.Errorf("%s answers %s", paths[n%len(paths)], got.Status)
			}
			if n >= 200 { // everything was asked for before
				times[k] = append(times[k], took)
			}
		}
	}
	for k := range times {
		slices.Sort(times[k])
	}
	a, c := times[0][rounds/2], times[1][rounds/2]
	part := float64(a-c) / float64(c)
	told := threshold(times[0], times[1])
	b.row(max(part, -part) < 0.05 && max(a-c, c-a) < 200*time.Microsecond && told < 0.55, "time: "+what, "medians within 5% and 0.2 ms, told apart under 55%",
		"%.3f / %.3f ms, %+.1f%%, %.1f%%", ms(a), ms(c), 100*part, 100*told)
	return nil
}

// threshold is how often the best threshold on one time guesses right which of
// two equally likely kinds it is of. The times are sorted and as many of each.
func threshold(a, b []time.Duration) float64 {
	best, i, k := 0, 0, 0
	for i < len(a) && k < len(b) {
		t := min(a[i], b[k])
		for i < len(a) && a[i] == t {
			i++
		}
		for k < len(b) && b[k] == t {
			k++
		}
		best = max(best, i-k, k-i)
	}
	return 0.5 + float64(best)/float64(2*len(a))
}
