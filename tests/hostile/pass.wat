;; Hands back what it gets. The host must make nothing of it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (local.get $list) (local.get $count))))
