;; Answers neither yes nor no. The host must not let it count as a yes.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (drop (call $hand_back (local.get $list) (local.get $count)))
    (i32.store8 (i32.const 1024) (i32.const 7))
    (i32.const 1024)))
