// Package controller holds one reconciler a kind. A reconciler reads once, asks the pure packages
// what follows, and writes once; it holds no rule of its own. Each step may be cut off before or
// after any write and be repeated: what must not happen twice derives from the object's UID, and
// every status write is refused by the API server where the object read was not the newest.
package controller
