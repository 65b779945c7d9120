package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firebreak/adapters"
	"firebreak/adapters/hl7"
	"firebreak/adapters/pull"
	"firebreak/adapters/send"
	"firebreak/notify"
	"firebreak/pipeline"
	"firebreak/record"
)

// metrics counts what the operator watches. Nothing is counted by patient,
// label or audience: a count must not tell what is withheld.
type metrics struct {
	registry *prometheus.Registry
	record   *record.Record
	pipeline *pipeline.Pipeline
	traces   *traces
	feeds    []Feed
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newMetrics(r *record.Record, p *pipeline.Pipeline, t *traces, feeds []Feed) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), record: r, pipeline: p, traces: t, feeds: feeds,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firebreak_http_requests_total", Help: "Requests answered, by route template and class of status.",
		}, []string{"route", "method", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firebreak_http_request_seconds", Help: "Time to answer, by route template.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m, m.requests, m.took)
	return m
}

// request counts one answer; see web.Config.Observe.
func (m *metrics) request(method, route string, status int, took time.Duration) {
	if route == "" {
		route = "none" // no address of the API or a page: health checks, what does not exist
	}
	m.requests.WithLabelValues(route, method, class(status)).Inc()
	m.took.WithLabelValues(route).Observe(took.Seconds())
}

func class(status int) string {
	if status < 100 || status > 599 {
		return "none" // nothing was answered: the asker was gone
	}
	return string(rune('0'+status/100)) + "xx"
}

var (
	descMessages = prometheus.NewDesc("firebreak_inbox_messages_total", "Messages taken in, ever.", nil, nil)
	descPending  = prometheus.NewDesc("firebreak_inbox_pending", "Messages taken in and not yet applied or held.", nil, nil)
	descHeld     = prometheus.NewDesc("firebreak_inbox_held", "Messages held because they could not be applied.", nil, nil)
	descApplied  = prometheus.NewDesc("firebreak_pipeline_applied_total", "Messages applied by this process.", nil, nil)
	descSetAside = prometheus.NewDesc("firebreak_pipeline_held_total", "Messages held by this process.", nil, nil)
	descRetried  = prometheus.NewDesc("firebreak_pipeline_retried_total", "Attempts to apply a message that the database failed.", nil, nil)
	descToSend   = prometheus.NewDesc("firebreak_outbox_waiting", "Letters that wait to be sent.", []string{"feed"}, nil)
	descRefused  = prometheus.NewDesc("firebreak_outbox_refused", "Letters that their receiver refused, and that wait for a person.", []string{"feed"}, nil)
	descOldest   = prometheus.NewDesc("firebreak_outbox_oldest_seconds", "When the oldest letter that is not sent was entered, in seconds since 1970.", []string{"feed"}, nil)
	descWorking  = prometheus.NewDesc("firebreak_pipeline_working", "Messages in hand.", nil, nil)
	descTraced   = prometheus.NewDesc("firebreak_feed_traced_total", "Messages of which each field was traced, one now and then.", []string{"feed"}, nil)
	descUnread   = prometheus.NewDesc("firebreak_feed_unread_fields", "Fields that are filled in some of them and that nobody reads.", []string{"feed"}, nil)
)

func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descMessages, descPending, descHeld, descApplied, descSetAside, descRetried, descWorking, descToSend, descRefused, descOldest, descTraced, descUnread} {
		ch <- d
	}
}

// Collect asks the record; without an answer there is no figure, which is itself seen.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, f := range m.feeds {
		messages, fields := m.traces.count(f.Name)
		ch <- prometheus.MustNewConstMetric(descTraced, prometheus.CounterValue, float64(messages), f.Name)
		ch <- prometheus.MustNewConstMetric(descUnread, prometheus.GaugeValue, float64(fields), f.Name)
	}
	c := m.pipeline.Counts()
	ch <- prometheus.MustNewConstMetric(descApplied, prometheus.CounterValue, float64(c.Applied))
	ch <- prometheus.MustNewConstMetric(descSetAside, prometheus.CounterValue, float64(c.Held))
	ch <- prometheus.MustNewConstMetric(descRetried, prometheus.CounterValue, float64(c.Retried))
	ch <- prometheus.MustNewConstMetric(descWorking, prometheus.GaugeValue, float64(c.Working))
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
	letters, err := m.record.Outbox().Undone(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descToSend, err)
		return
	}
	for _, f := range m.feeds { // none waits is a figure too
		if f.Send != nil && !slices.ContainsFunc(letters, func(u record.Undone) bool { return u.Feed == f.Name }) {
			ch <- prometheus.MustNewConstMetric(descToSend, prometheus.GaugeValue, 0, f.Name)
			ch <- prometheus.MustNewConstMetric(descRefused, prometheus.GaugeValue, 0, f.Name)
		}
	}
	for _, u := range letters {
		ch <- prometheus.MustNewConstMetric(descToSend, prometheus.GaugeValue, float64(u.Waiting), u.Feed)
		ch <- prometheus.MustNewConstMetric(descRefused, prometheus.GaugeValue, float64(u.Refused), u.Feed)
		ch <- prometheus.MustNewConstMetric(descOldest, prometheus.GaugeValue, float64(u.Oldest.Unix()), u.Feed)
	}
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
		{"firebreak_mllp_unanswered_total", "Messages whose sender wanted no answer, or was gone.", func(s hl7.Stats) int64 { return s.Unanswered }},
		{"firebreak_mllp_too_long_total", "Frames over the limit.", func(s hl7.Stats) int64 { return s.TooLong }},
		{"firebreak_mllp_connections_total", "Connections taken.", func(s hl7.Stats) int64 { return s.Accepted }},
		{"firebreak_mllp_refused_total", "Connections refused: too many, or TLS failed.", func(s hl7.Stats) int64 { return s.Refused }},
		{"firebreak_mllp_timeouts_total", "Connections closed for silence.", func(s hl7.Stats) int64 { return s.Timeouts }},
		{"firebreak_mllp_junk_bytes_total", "Bytes between frames.", func(s hl7.Stats) int64 { return s.Junk }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
			func() float64 { return float64(c.value(s.Stats())) }))
	}
	m.registry.MustRegister(ackTimes{s, prometheus.NewDesc("firebreak_mllp_ack_seconds", "From a whole message to its acknowledgement; the quantiles are of the last 1,000.", nil, labels)})
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firebreak_mllp_connections", Help: "Open connections.", ConstLabels: labels},
		func() float64 { return float64(s.Stats().Open) }))
}

// ackTimes are how fast a server answers. Its series are there from the start.
type ackTimes struct {
	server *hl7.Server
	desc   *prometheus.Desc
}

func (a ackTimes) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

func (a ackTimes) Collect(ch chan<- prometheus.Metric) {
	took := a.server.Took()
	ch <- prometheus.MustNewConstSummary(a.desc, uint64(took.N), took.Sum.Seconds(), map[float64]float64{.5: took.P50.Seconds(), .99: took.P99.Seconds()})
}

// folder adds the counters of a feed that has a folder.
func (m *metrics) folder(f *adapters.Folder) {
	labels := prometheus.Labels{"feed": f.Source}
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "firebreak_folder_done_total", Help: "Files taken whole.", ConstLabels: labels},
			func() float64 { done, _ := f.Counts(); return float64(done) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "firebreak_folder_failed_total", Help: "Files of which something could not be taken.", ConstLabels: labels},
			func() float64 { _, failed := f.Counts(); return float64(failed) }))
}

// pull adds the counters of a feed that asks.
func (m *metrics) pull(p *pull.Feed) {
	labels := prometheus.Labels{"feed": p.Source}
	for _, c := range []struct {
		name, help string
		value      func(pull.Status) int64
	}{
		{"firebreak_pull_rounds_total", "Rounds of questions to a server.", func(s pull.Status) int64 { return s.Rounds }},
		{"firebreak_pull_failed_total", "Rounds that were not finished, to be begun again where they stopped.", func(s pull.Status) int64 { return s.Failed }},
		{"firebreak_pull_resources_total", "Resources taken in, those known already among them.", func(s pull.Status) int64 { return s.Taken }},
		{"firebreak_pull_deleted_total", "Resources that the server has no more.", func(s pull.Status) int64 { return s.Gone }},
		{"firebreak_pull_missed_total", "Resources that were found missing by comparison, and taken.", func(s pull.Status) int64 { return s.Missed }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
			func() float64 { return float64(c.value(p.Status())) }))
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firebreak_pull_last_success_seconds", Help: "When the last round was finished, in seconds since 1970; 0: none yet.", ConstLabels: labels},
		func() float64 {
			if s := p.Status(); !s.Last.IsZero() {
				return float64(s.Last.Unix())
			}
			return 0
		}))
}

// send adds the counters of a feed that is sent to.
func (m *metrics) send(f *send.Feed) {
	labels := prometheus.Labels{"feed": f.To}
	for _, c := range []struct {
		name, help string
		value      func(send.Status) int64
	}{
		{"firebreak_outbox_sent_total", "Letters that the receiver took.", func(s send.Status) int64 { return s.Sent }},
		{"firebreak_outbox_refused_total", "Letters that the receiver refused.", func(s send.Status) int64 { return s.Refused }},
		{"firebreak_outbox_failed_total", "Attempts that failed, to be made again.", func(s send.Status) int64 { return s.Failed }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
			func() float64 { return float64(c.value(f.Status())) }))
	}
}

// notices adds the counters of what subscribers are told.
func (m *metrics) notices(t *notify.Teller) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "firebreak_notices_told_total", Help: "Notices that subscribers took."},
			func() float64 { told, _ := t.Counts(); return float64(told) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "firebreak_notices_failed_total", Help: "Attempts that failed, to be made again."},
			func() float64 { _, failed := t.Counts(); return float64(failed) }))
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

// readyTime bounds how long a database may take to say that it is there.
const readyTime = 3 * time.Second

// ready says whether the databases answer; it fails when reads would.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	err := g.record.Err()
	if err == nil {
		_, err = g.record.Stats(ctx)
	}
	if err == nil {
		var one int64
		err = g.registry.DB().QueryRow(ctx, "SELECT 1").Scan(&one)
	}
	if err != nil {
		g.log.ErrorContext(ctx, "not ready", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready\n"))
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}
