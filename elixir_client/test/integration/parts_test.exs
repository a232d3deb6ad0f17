defmodule Graphport.Integration.PartsTest do
  # Values over 256 KiB, there and back, with the real engine. Not with other tests: it looks at the BEAM's memory.
  use Graphport.Case, async: false

  alias Graphport.{Error, Instance}

  @mib 1_048_576

  setup context do
    start_engine(context.name, nodes: ["graphport_test_nodes"])
    nodes = for type <- ["same", "zeros", "long-chunks"], do: %{id: type, type: type}
    os_pid = os_pid(context.name)
    {:ok, session: Graphport.open!(context.name, %{nodes: nodes, edges: []}), os_pid: os_pid}
  end

  defp same(session, value), do: Graphport.demand(session, "same", inputs: %{"same" => %{"value" => value}})

  defp there_and_back(session, size) do
    bytes = size |> div(16) |> :crypto.strong_rand_bytes() |> :binary.copy(16)
    assert {:ok, %{"value" => ^bytes}} = same(session, Graphport.bytes(bytes))
    text = String.duplicate("sixteen bytes, ä", div(size, 17))
    assert {:ok, %{"value" => ^text}} = same(session, text)
  end

  test "bytes and text come back as they went", %{session: session} do
    for size <- [262_100, 262_144, 300 * 1024, @mib], do: there_and_back(session, size)
  end

  @tag :slow
  test "also 64 MiB", %{session: session} do
    there_and_back(session, 64 * @mib)
  end

  @tag :slow
  @tag timeout: 120_000
  test "a wide and deep map comes back as it went", %{session: session} do
    deep = Enum.reduce(1..200, %{"end" => nil}, fn level, inner -> %{"level" => level, "in" => [inner]} end)
    wide = Map.new(1..400_000, fn n -> {"key #{n}", [n, n / 2, "value of #{n}", {n, true}]} end)
    value = %{"deep" => deep, "wide" => wide}
    assert :erlang.external_size(value) > 20 * @mib
    assert {:ok, %{"value" => ^value}} = same(session, value)
  end

  test "a graph may be large", %{name: name} do
    text = String.duplicate("long ", 400_000)

    session =
      Graphport.open!(name, %{nodes: [%{id: "t", type: "text-input", data: %{text: text}}], edges: []})

    assert {:ok, %{"text" => ^text}} = Graphport.demand(session, "t")
  end

  test "what is over 256 MiB is refused, and the engine goes on", %{session: session, os_pid: os_pid} do
    value = List.duplicate(Graphport.bytes(:binary.copy(<<0>>, @mib)), 257)
    assert {:error, %Error{code: :too_large}} = same(session, value)
    assert {:ok, %{"value" => 1}} = same(session, 1)
    assert {:ok, %{open_demands: 0, engines: [%{os_pid: ^os_pid}]}} = Graphport.info(session.instance)
  end

  @tag :slow
  test "also an output", %{session: session, os_pid: os_pid} do
    inputs = %{"zeros" => %{"size" => 257 * @mib}}
    assert {:error, %Error{code: :too_large}} = Graphport.demand(session, "zeros", inputs: inputs)
    assert {:ok, %{"value" => 1}} = same(session, 1)
    assert {:ok, %{open_demands: 0, engines: [%{os_pid: ^os_pid}]}} = Graphport.info(session.instance)
  end

  test "long chunks keep their order", %{session: session} do
    {:ok, _demand} = Graphport.demand_async(session, "long-chunks")
    assert_receive {:demand_complete, "long-chunks", %{"text" => "done"}}, 20_000
    chunks = for {:node_stream, "long-chunks", chunk} <- mailbox(), do: chunk
    long = for letter <- ["a", "b", "c"], do: String.duplicate(letter, 1_000_000) <> String.upcase(letter)
    assert Enum.join(chunks) == Enum.join(long)
  end

  test "long chunks pass a stream that grants one by one", %{session: session} do
    text = session |> Graphport.stream("long-chunks", window: 1) |> Enum.join()
    long = for letter <- ["a", "b", "c"], do: String.duplicate(letter, 1_000_000) <> String.upcase(letter)
    assert text == Enum.join(long)
  end

  test "a question may be long, and its answer", %{name: name} do
    type = String.duplicate("no such type ", 30_000)
    assert {:error, %Error{code: :unknown_type}} = Graphport.nodes(name, type: type)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end

  test "twenty callers at once get their own", %{session: session} do
    1..20
    |> Enum.map(fn n ->
      Task.async(fn ->
        bytes = :binary.copy(<<n>>, @mib)
        assert {:ok, %{"value" => ^bytes}} = same(session, Graphport.bytes(bytes))
      end)
    end)
    |> Task.await_many(60_000)
  end

  test "a caller that is killed while it writes leaves nothing", %{
    session: session,
    name: name,
    os_pid: os_pid
  } do
    signal(os_pid, "STOP")
    caller = spawn(fn -> same(session, Graphport.bytes(:binary.copy(<<7>>, 8 * @mib))) end)
    eventually(fn -> engine(name).unread_bytes > 1_500_000 end)
    Process.exit(caller, :kill)
    eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
    signal(os_pid, "CONT")
    there_and_back(session, @mib)
    assert {:ok, %{open_demands: 0, engines: [%{os_pid: ^os_pid}]}} = Graphport.info(name)
  end

  test "an engine that is killed while it writes: one engine_down", %{
    session: session,
    name: name,
    os_pid: os_pid
  } do
    owner = owner(name)
    :sys.suspend(owner)
    {:ok, _demand} = Graphport.demand_async(session, "zeros", inputs: %{"zeros" => %{"size" => 32 * @mib}})

    eventually(fn ->
      match?({:message_queue_len, waiting} when waiting > 4, Process.info(owner, :message_queue_len))
    end)

    signal(os_pid, "KILL")
    eventually(fn -> not os_alive?(os_pid) end)
    :sys.resume(owner)
    assert_receive {:demand_error, "zeros", %Error{code: :engine_down}}, 5_000
    there_and_back(session, @mib)
    assert mailbox() == []
  end

  @tag :slow
  test "nothing is kept of a value that is gone", %{session: session, name: name} do
    {:ok, instance} = Instance.fetch(name)
    # The first ones make heaps grow to their usual size.
    for _ <- 1..3, do: there_and_back(session, 16 * @mib)
    before = binary_bytes()
    for _ <- 1..5, do: there_and_back(session, 16 * @mib)
    eventually(fn -> binary_bytes() - before < 4 * @mib end)
    assert :sys.get_state(owner(instance.name)).transfers == %{}
  end

  defp binary_bytes do
    :erlang.garbage_collect()
    :erlang.memory(:binary)
  end
end
