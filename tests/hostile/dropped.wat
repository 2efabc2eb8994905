;; Drops a handle, and returns it. The host must not find anything behind it.
(module
  (import "sessiond:plugin/types@0.1.0" "[resource-drop]event" (func $drop (param i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $drop (i32.load (local.get $list)))
    (call $hand_back (local.get $list) (local.get $count))))
