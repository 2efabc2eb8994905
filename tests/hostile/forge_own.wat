;; Reads an event by a handle that it never got. The host must not find anything behind it.
(module
  (import "sessiond:plugin/types@0.1.0" "[method]event.body" (func $body (param i32 i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $body (i32.const 4711) (i32.const 1536))
    (call $hand_back (local.get $list) (local.get $count))))
