package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firebreak/adapters/hl7"
	"firebreak/record"
)

// metrics counts what the operator watches. Nothing is counted by patient,
// label or audience: a count must not tell what is withheld.
type metrics struct {
	registry *prometheus.Registry
	record   *record.Record
}

func newMetrics(r *record.Record) *metrics {
	m := &metrics{prometheus.NewRegistry(), r}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m)
	return m
}

var (
	descMessages = prometheus.NewDesc("firebreak_inbox_messages_total", "Messages taken in.", nil, nil)
	descPending  = prometheus.NewDesc("firebreak_inbox_pending", "Messages taken in and not yet applied or held.", nil, nil)
	descHeld     = prometheus.NewDesc("firebreak_inbox_held", "Messages held because they could not be applied.", nil, nil)
)

func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect asks the record; without an answer there is no figure, which is itself seen.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := m.record.Stats(ctx)
	if err != nil {
		for _, d := range []*prometheus.Desc{descMessages, descPending, descHeld} {
			ch <- prometheus.NewInvalidMetric(d, err)
		}
		return
	}
	ch <- prometheus.MustNewConstMetric(descMessages, prometheus.CounterValue, float64(s.Last))
	ch <- prometheus.MustNewConstMetric(descPending, prometheus.GaugeValue, float64(s.Pending))
	ch <- prometheus.MustNewConstMetric(descHeld, prometheus.GaugeValue, float64(s.Held))
}

// feed adds the counters of one feed's MLLP server.
func (m *metrics) feed(name string, s *hl7.Server) {
	labels := prometheus.Labels{"feed": name}
	for _, c := range []struct {
		name, help string
		value      func(hl7.Stats) int64
	}{
		{"firebreak_mllp_frames_total", "Whole frames received.", func(s hl7.Stats) int64 { return s.Frames }},
		{"firebreak_mllp_positive_total", "Messages acknowledged positively, after they were on disk.", func(s hl7.Stats) int64 { return s.Positive }},
		{"firebreak_mllp_failed_total", "Messages answered AE or CE.", func(s hl7.Stats) int64 { return s.Failed }},
		{"firebreak_mllp_rejected_total", "Messages answered AR or CR.", func(s hl7.Stats) int64 { return s.Rejected }},
		{"firebreak_mllp_broken_total", "Frames without an end.", func(s hl7.Stats) int64 { return s.Broken }},
		{"firebreak_mllp_junk_bytes_total", "Bytes between frames.", func(s hl7.Stats) int64 { return s.Junk }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
			func() float64 { return float64(c.value(s.Stats())) }))
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firebreak_mllp_connections", Help: "Open connections.", ConstLabels: labels},
		func() float64 { return float64(s.Stats().Open) }))
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return mux
}

// alive says that the process answers.
func (g *Gateway) alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("alive\n"))
}

// ready says whether the databases answer; it fails when reads would.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	err := g.record.Err()
	if err == nil {
		_, err = g.record.Stats(r.Context())
	}
	if err != nil {
		g.log.ErrorContext(r.Context(), "not ready", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready\n"))
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}
