package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/transparency-dev/tessera/client"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit/tlog"
)

const (
	// Interval is how often the witnesses are asked, where there is a new head.
	Interval = 10 * time.Second
	// patience is how long one witness may take.
	patience = 10 * time.Second
)

// ErrQuorum means that not enough witnesses have signed. An error that wraps it says what each answered.
var ErrQuorum = errors.New("too few witnesses have signed the head of the audit log")

// Log is what is witnessed; a *writer.Log is one.
type Log interface {
	// Epoch is the tree that is written to.
	Epoch() uint64
	// Checkpoint is its newest head, as it was signed.
	Checkpoint() []byte
	// Reader reads the tree.
	Reader(epoch uint64) tlog.Reader
	// SaveWitnessed keeps a head with its cosignatures beside the checkpoint.
	SaveWitnessed(checkpoint []byte) error
}

// Cosigner has the witnesses of a policy sign the newest head of a log, again and again. It never holds up
// the log: what is appended meanwhile is under the next head.
type Cosigner struct {
	// Policy says whom to ask, and how many have to sign.
	Policy *Policy
	// Log is what is witnessed.
	Log Log
	// Client asks them. It should not follow redirects.
	Client *http.Client
	// Clock times the rounds, which are Interval apart; 0 is the constant of that name.
	Clock    clock.WithTicker
	Interval time.Duration

	// asking is held during a round, and guards sizes: what each witness has last signed, by its URL.
	asking sync.Mutex
	sizes  map[string]uint64

	mu        sync.Mutex
	witnessed []byte
	failed    error
}

// Run asks the witnesses until the context ends. What fails is told to the logger and tried again.
func (c *Cosigner) Run(ctx context.Context) error {
	interval := c.Interval
	if interval == 0 {
		interval = Interval
	}
	ticker := c.Clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := c.Cosign(ctx); err != nil && ctx.Err() == nil {
			logr.FromContextOrDiscard(ctx).Error(err, "the head of the audit log is not witnessed")
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return nil
		}
	}
}

// Witnessed is the newest head that a quorum has signed since the start, nil for none, and why the last
// round failed, nil where it did not.
func (c *Cosigner) Witnessed() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.witnessed), c.failed
}

// Cosign has the newest head signed, once, and keeps it where enough witnesses did. Where they have signed
// that head before, it asks nobody.
func (c *Cosigner) Cosign(ctx context.Context) error {
	c.asking.Lock()
	defer c.asking.Unlock()
	head := c.Log.Checkpoint()
	if witnessed, failed := c.Witnessed(); failed == nil && bytes.HasPrefix(witnessed, head) {
		return nil
	}
	size, err := sizeOf(head)
	if err != nil || size == 0 { // an empty tree has nothing to witness
		return err
	}
	cosigned, err := c.round(ctx, head, size)
	if err == nil {
		err = c.Log.SaveWitnessed(cosigned)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	if err == nil {
		c.witnessed = cosigned
	}
	return err
}

// round asks all witnesses at once and puts their signatures under the head.
func (c *Cosigner) round(ctx context.Context, head []byte, size uint64) ([]byte, error) {
	reader := c.Log.Reader(c.Log.Epoch())
	builder, err := client.NewProofBuilder(ctx, size, reader.ReadTile)
	if err != nil {
		return nil, err
	}
	var proving sync.Mutex // a builder is for one at a time
	prove := func(ctx context.Context, old uint64) ([][]byte, error) {
		proving.Lock()
		defer proving.Unlock()
		if old == 0 || old == size {
			return nil, nil
		}
		return builder.ConsistencyProof(ctx, old, size)
	}
	if c.sizes == nil {
		c.sizes = map[string]uint64{}
	}
	answers := make([]answer, len(c.Policy.witnesses))
	var asked sync.WaitGroup
	for i, witness := range c.Policy.witnesses {
		old := min(c.sizes[witness.url], size)
		asked.Go(func() { answers[i] = c.ask(ctx, witness, old, size, head, prove) })
	}
	asked.Wait()
	cosigned := bytes.Clone(head)
	failed := ErrQuorum
	for i, witness := range c.Policy.witnesses {
		c.sizes[witness.url] = answers[i].size
		cosigned = append(cosigned, answers[i].signatures...)
		if answers[i].failed != nil {
			failed = errors.Join(failed, fmt.Errorf("witness %s: %w", witness.key.Name(), answers[i].failed))
		}
	}
	if !c.Policy.Satisfied(cosigned) {
		return nil, failed
	}
	return cosigned, nil
}

// answer is what a witness said: the size of the head that it has signed now, as far as is known.
type answer struct {
	size       uint64
	signatures []byte
	failed     error
}

// ask has one witness sign, and where that knows another size than the log remembers, once more with that.
func (c *Cosigner) ask(ctx context.Context, witness endpoint, old, size uint64, head []byte,
	prove func(context.Context, uint64) ([][]byte, error),
) answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for first := true; ; first = false {
		proof, err := prove(ctx, old)
		if err != nil {
			return answer{size: old, failed: err}
		}
		signatures, err := addCheckpoint(ctx, c.Client, witness, old, proof, head)
		var stale staleError
		switch {
		case err == nil:
			return answer{size: size, signatures: signatures}
		case !errors.As(err, &stale):
			return answer{size: old, failed: err}
		case stale.size > size:
			return answer{size: old, failed: fmt.Errorf("%w, and the log has %d: its data was set back, or it was forked", err, size)}
		case !first:
			return answer{size: stale.size, failed: err}
		}
		old = stale.size
	}
}
