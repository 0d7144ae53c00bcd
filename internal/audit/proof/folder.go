package proof

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/transparency-dev/tessera/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/witness"
)

// Options are what a folder is checked against.
type Options struct {
	// Dir is a copy of a log's data directory.
	Dir string
	// Key is one key that is known for the log's: any that it has had, best the newest that was checked.
	Key keys.Public
	// Known are heads that were kept elsewhere. Without one, a folder that was set back as a whole cannot be
	// told from one that is merely older.
	Known []Known
	// Policy says which witnesses have to have signed; nil for none.
	Policy *witness.Policy
	// Visit sees each record as its hash and links are found right, epoch by epoch, the newest epoch first; nil
	// for nobody. That a record is under a signed head is known when Folder returns.
	Visit func(audit.Entry) error
}

// Folder checks a folder. What does not hold is a Break, the first in the order: keys, heads from elsewhere,
// then the epochs from the newest to the oldest, as each is vouched for by the one after it. Any other error
// means that the folder could not be read.
func Folder(ctx context.Context, options Options) (*Report, error) {
	c := &check{Options: options}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	for c.epoch > 0 {
		report, err := c.tree(ctx)
		if err != nil {
			return nil, err
		}
		if report.Epoch > 0 {
			c.report.Epochs = append(c.report.Epochs, report)
		}
		c.epoch--
	}
	slices.Reverse(c.report.Epochs)
	if len(c.Known) == 0 && c.Policy == nil {
		c.report.Notes = append(c.report.Notes, "no head from elsewhere was given: a folder that was set back as a whole to an "+
			"earlier state cannot be told from one that is merely older")
	}
	return &c.report, nil
}

// Ring is every key of the log in a folder, the longest that the folder or what is known from elsewhere has.
func Ring(options Options) (*keys.Ring, error) {
	c := &check{Options: options}
	err := c.prepare()
	return c.ring, err
}

// check is a check under way.
type check struct {
	Options
	report Report
	ring   *keys.Ring
	marks  marks
	// folders are the epochs that are there.
	folders []uint64
	// epoch is the one that is checked now, and next the first record of the one after it; nil for the newest,
	// and where the one after it is not there.
	epoch uint64
	next  *audit.Record
}

func (c *check) broken(cause error) error { return &Break{Epoch: c.epoch, Cause: cause} }

// prepare checks the keys and the heads from elsewhere.
func (c *check) prepare() error {
	if _, err := os.ReadDir(c.Dir); err != nil {
		return err
	}
	var err error
	if c.folders, err = epoch.Folders(c.Dir); err != nil {
		return err
	}
	c.ring, err = epoch.ReadRing(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(c.folders) == 0:
		return fmt.Errorf("%s is no data directory of an audit log: there is neither %s nor an epoch", c.Dir, epoch.KeysFile)
	case errors.Is(err, fs.ErrNotExist):
		return c.broken(fmt.Errorf("%s is missing", epoch.KeysFile))
	case errors.Is(err, keys.ErrRing):
		return c.broken(err)
	case err != nil:
		return err
	}
	for _, known := range c.Known {
		if c.ring, err = keys.Longer(c.ring, known.Ring); err != nil {
			return c.broken(fmt.Errorf("the folder and %s: %w", known.From, err))
		}
	}
	if err := c.ring.Pinned(c.Key); err != nil {
		return c.broken(err)
	}
	if c.marks, c.report.Heads, err = markAll(c.ring, c.Known); err != nil {
		return err
	}
	for number := range c.marks {
		c.epoch = max(c.epoch, number)
	}
	for _, number := range c.folders {
		c.epoch = max(c.epoch, number)
	}
	if c.epoch == 0 {
		return c.broken(errors.New("there is no epoch"))
	}
	c.describe()
	return nil
}

func (c *check) describe() {
	c.report.Log, c.report.Key = c.ring.Name(), c.Key.String()
	for i, s := range c.ring.Statements() {
		c.report.Keys = append(c.report.Keys, Key{
			Key: s.Key.String(), ID: s.Key.ID(), Epoch: s.Epoch, From: s.From, Since: s.Since, Status: string(c.ring.Status(i)),
		})
	}
}

// tree checks one epoch; the Report is empty for one that is not there and need not be.
func (c *check) tree(ctx context.Context) (Epoch, error) {
	next := c.next
	c.next = nil
	if !slices.Contains(c.folders, c.epoch) {
		return c.missing(next)
	}
	walk := &walk{check: c, report: Epoch{Epoch: c.epoch}, rotated: map[string]uint64{}}
	path := epoch.Folder(c.Dir, c.epoch)
	known := slices.Clone(c.marks[c.epoch])
	witnessed, err := c.witnessed(path, &walk.report)
	if err != nil {
		return Epoch{}, err
	}
	if witnessed != nil {
		known = append(known, *witnessed)
	}
	var head tlog.Head
	if next != nil {
		head, err = c.rest(ctx, walk, *next, known)
	} else {
		head, err = tlog.Verify(ctx, client.FileFetcher{Root: path}, c.ring.Heads(c.epoch), known, walk.visit)
		walk.report.OnDisk = head.Size
	}
	switch {
	case errors.Is(err, audit.ErrBreak):
		return Epoch{}, c.broken(err)
	case err != nil:
		return Epoch{}, err
	}
	walk.report.Records, walk.report.Root = head.Size, hex.EncodeToString(head.Root)
	return walk.report, walk.keysFit(head.Size)
}

// missing is for an epoch without a folder.
func (c *check) missing(next *audit.Record) (Epoch, error) {
	if next == nil {
		if len(c.folders) > 0 && c.epoch < c.folders[0] {
			// The one after it is not there either, or is too broken to say; that was said already.
			return Epoch{}, nil
		}
		return Epoch{}, c.broken(fmt.Errorf("its folder %s is missing", filepath.Base(epoch.Folder(c.Dir, c.epoch))))
	}
	lost := lostOf(*next)
	if lost.Kept > 0 {
		return Epoch{}, c.broken(fmt.Errorf("its folder is missing, and %d records of it were still there when epoch %d was begun (%s)",
			lost.Kept, c.epoch+1, next.ID))
	}
	if err := c.beyond(c.marks[c.epoch], *next); err != nil {
		return Epoch{}, err
	}
	return Epoch{Epoch: c.epoch, Lost: lost}, nil
}

// rest checks what is left of an epoch that the next one has taken the place of. The first record of that one
// vouches for what was kept; the checkpoint in the folder counts no more.
//
// It is read by each size that the tree may have on disk, until one is right.
func (c *check) rest(ctx context.Context, walk *walk, next audit.Record, known []tlog.Mark) (tlog.Head, error) {
	lost := lostOf(next)
	walk.report.Lost = lost
	root, err := hex.DecodeString(next.Facts.KeptDigest)
	if err != nil {
		return tlog.Head{}, c.broken(err)
	}
	kept := tlog.Head{Size: uint64(lost.Kept), Root: root} //nolint:gosec // G115: Parse lets none below 0 pass
	inside := []tlog.Mark{{Head: kept, From: "the first record of the next epoch"}}
	var outside []tlog.Mark
	for _, mark := range known {
		if mark.Size <= kept.Size {
			inside = append(inside, mark)
		} else {
			outside = append(outside, mark)
		}
	}
	if err := c.beyond(outside, next); err != nil {
		return tlog.Head{}, err
	}
	path := epoch.Folder(c.Dir, c.epoch)
	walk.until = kept.Size
	broken := error(&audit.Break{Why: fmt.Sprintf("nothing of the %d records that were kept is there", kept.Size)})
	for _, size := range append(tlog.Sizes(ctx, path), kept.Size) {
		if kept.Size == 0 {
			return kept, nil
		}
		walk.restart()
		held, err := tlog.VerifyRest(ctx, client.FileFetcher{Root: path}, size, inside, walk.visit)
		walk.report.OnDisk = size
		if errors.Is(err, errEnough) || held.Size >= kept.Size && err == nil {
			return kept, nil
		}
		if err == nil {
			err = &audit.Break{Position: held.Size, Why: fmt.Sprintf("%d records of it were kept, and no more than %d are there", kept.Size, held.Size)}
		}
		if !errors.Is(err, audit.ErrBreak) {
			return tlog.Head{}, err
		}
		broken = err
	}
	return tlog.Head{}, broken
}

// beyond checks heads of records that are lost: they must not be of more than the log knew of.
func (c *check) beyond(known []tlog.Mark, next audit.Record) error {
	for _, mark := range known {
		switch {
		case mark.Size == 0:
		case mark.Size > uint64(next.Facts.Size): //nolint:gosec // G115: Parse lets none below 0 pass
			return c.broken(fmt.Errorf("%s covers %d records, and epoch %d says (%s) that %d were all that was signed",
				mark.From, mark.Size, c.epoch+1, next.ID, next.Facts.Size))
		case mark.Size == uint64(next.Facts.Size) && hex.EncodeToString(mark.Root) != next.Facts.Digest: //nolint:gosec // G115: the same
			return c.broken(fmt.Errorf("a fork: %s is not the head of %d records that epoch %d names as lost (%s)",
				mark.From, mark.Size, c.epoch+1, next.ID))
		default:
			c.report.Notes = append(c.report.Notes, fmt.Sprintf(
				"epoch %d: %s covers %d records, some of which are lost: it is rightly signed, and nothing else of it can be checked", c.epoch, mark.From, mark.Size))
		}
	}
	return nil
}

// witnessed reads the head with cosignatures; nil where there is none and none is asked for.
func (c *check) witnessed(path string, report *Epoch) (*tlog.Mark, error) {
	raw, err := os.ReadFile(filepath.Join(path, epoch.WitnessedFile)) //nolint:gosec // G304: the caller says where the log is
	if errors.Is(err, fs.ErrNotExist) {
		if c.Policy != nil {
			return nil, c.broken(fmt.Errorf("there is no head with cosignatures (%s)", epoch.WitnessedFile))
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	head, err := c.ring.Heads(c.epoch).OpenHead(raw)
	if err != nil {
		return nil, c.broken(fmt.Errorf("%s: %w", epoch.WitnessedFile, err))
	}
	report.Witnessed = head.Size
	if c.Policy != nil {
		report.Witnesses = c.Policy.Signed(raw)
		if !c.Policy.Satisfied(raw) {
			return nil, c.broken(fmt.Errorf("%s: %d of the policy's witnesses have signed, which is no quorum", epoch.WitnessedFile, len(report.Witnesses)))
		}
	}
	return &tlog.Mark{Head: head, From: "the witnessed head"}, nil
}

func lostOf(begin audit.Record) *Lost {
	return &Lost{
		Records: begin.Facts.Size, Kept: begin.Facts.Kept, Record: begin.ID, Actor: begin.Actor.Username,
		Reason: begin.Facts.Reason, Time: begin.Time,
	}
}
